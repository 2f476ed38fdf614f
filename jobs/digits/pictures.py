"""Makes the pictures of the README, progress.png and report.png. Needs Chromium and TensorFlow.

    python jobs/digits/pictures.py [FOLDER]      FOLDER: where they go, in place of this folder

this job, each digit ten times, so that there is a middle to look at

mpibatch run --> status.json in mid-run --> the bar, as SVG --> Chromium --> progress.png
             --> report.html at the end                     --> Chromium --> report.png
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import takewhile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mpibatch.reporting.bar import render
from mpibatch.reporting.progress import RecentRate
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.summary import Summary

HERE = Path(__file__).parent
COLUMNS = 88
COPIES = 10
LARGEST = 200_000  # bytes


def main(target: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium is installed")
    with tempfile.TemporaryDirectory() as folder:
        job = copy_of_the_job(Path(folder) / "digits")
        directory = RunDirectory(Path(folder) / "run")
        command = [sys.executable, "-m", "mpibatch", "run", str(job), "-n", "2", "--run-dir", str(directory.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            summary, recent = middle(process, directory)
            printed = process.communicate()[0]
        if process.returncode != 0:
            sys.exit(printed)
        lines = list(takewhile(lambda line: "%)" not in line, printed.replace(folder, "runs").splitlines()))
        drawing = Path(folder) / "progress.svg"
        window = draw_terminal(lines, summary, recent, drawing)
        photograph(chromium, drawing, target / "progress.png", window)
        photograph(chromium, directory.report, target / "report.png", (1100, 1250))
    for name in ("progress.png", "report.png"):
        size = (target / name).stat().st_size
        print(f"{name}: {size} bytes")
        if size > LARGEST:
            sys.exit(f"{name} is larger than {LARGEST} bytes")


def copy_of_the_job(folder: Path) -> Path:
    """Copies the job to `folder`; its job file there."""
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("data", "runs", "*.png"))
    (folder / "data").mkdir()
    for picture in (HERE / "data").iterdir():
        for copy in range(COPIES):
            (folder / "data" / f"{copy}_{picture.name}").symlink_to(picture)
    return folder / "job.yaml"


def photograph(chromium: str, page: Path, picture: Path, window: tuple[int, int]) -> None:
    """window: width and height in pixels."""
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={window[0]},{window[1]}"]
    subprocess.run([chromium, *options, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)


def middle(process: "subprocess.Popen[str]", directory: RunDirectory) -> tuple[Summary, float | None]:
    """Where the run stood at the last look before it had done three quarters, or at its end."""
    rate = RecentRate()
    seen: tuple[Summary, float | None] | None = None
    while process.poll() is None:
        summary = Summary.read_status(directory) if directory.status.exists() else None
        if summary is not None:
            done = summary.mini_batches.succeeded + summary.mini_batches.failed
            if seen is None or done < 0.75 * summary.mini_batches.total:
                seen = summary, rate.update(summary)
        time.sleep(0.1)
    if seen is None:
        sys.exit("the run has not begun")
    return seen


def draw_terminal(lines: list[str], summary: Summary, recent: float | None, path: Path) -> tuple[int, int]:
    """Writes what a terminal shows by then to `path`, an SVG file; its width and height in pixels."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ mpibatch run jobs/digits/job.yaml -n 2"))
    for line in lines:
        console.print(Text(line), soft_wrap=False)
    console.print(render(summary, recent, COLUMNS))
    drawn = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="mpibatch run"), flags=re.DOTALL)  # from the web
    path.write_text(drawn, encoding="utf-8")
    width, height = re.findall(r"[\d.]+", drawn.partition('viewBox="')[2][:40])[2:4]
    return round(float(width)), round(float(height))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
