"""A million files are planned within twice the time of a bare walk, and ten million of a manifest in seconds.

    python -m benchmarks.plan [--quick] [--files 1000000] [--listed 10000000] [--rounds 3]

Each in a process of its own, the folders' listings in the kernel's cache: a walk with os.scandir that joins names and
asks nothing; the plan of the same 100 folders, ten files a mini-batch, each file's size and times in it, to
plan.parquet; the plan of a manifest, whose files do not exist.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks import claim
from benchmarks.claim import Size
from benchmarks.figures import Figure, Measured, ratios
from benchmarks.job import ENVIRONMENT
from benchmarks.rounds import in_turn

FOLDERS = 100


def make_files(folder: Path, count: int) -> None:
    """Empty ones, in FOLDERS folders."""
    for number in range(FOLDERS):
        inside = folder / f"{number:03d}"
        inside.mkdir(parents=True)
        for file in range(number, count, FOLDERS):
            os.close(os.open(inside / f"scan-{file:08d}.png", os.O_CREAT | os.O_WRONLY))


def make_manifest(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.writelines(f"/data/scans/{number:08d}.png\n" for number in range(count))


def walk(folder: str) -> int:
    """How many files there are."""
    paths, pending = 0, [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    pending.append(entry.path)
                else:
                    paths += bool(entry.path)
    return paths


def plan(source: str, output: str) -> int:
    """How many files were planned; source: a folder, or a manifest."""
    from mpibatch.config.choices import InputType
    from mpibatch.config.schema import Input
    from mpibatch.datasets import open_dataset
    from mpibatch.planning.plan import Plan

    if os.path.isdir(source):
        files = Input("scans", InputType.FILES, paths=(source,))
    else:
        files = Input("scans", InputType.FILES, manifest=source)
    made = Plan.build([open_dataset(files, None)], map)
    made.write(Path(output))
    return made.items


def be_measured(what: str, source: str, output: str) -> None:
    """One of them in this process: prints files, seconds without the imports, and the peak of memory in MB."""
    import mpibatch.datasets.files
    import mpibatch.planning.plan  # noqa: F401

    began = time.perf_counter()
    count = walk(source) if what == "walk" else plan(source, output)
    seconds = time.perf_counter() - began
    print(json.dumps([count, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6]))


def measure(options: argparse.Namespace) -> Measured:
    measured = Measured()
    peaks: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, manifest = Path(name, "scans"), Path(name, "paths.txt")
        make_files(folder, options.files)
        make_manifest(manifest, options.listed)
        walk(str(folder))

        def seconds(label: str, what: str, source: Path, files: int) -> float:
            command = [sys.executable, "-m", "benchmarks.plan", "measured", what, str(source), f"{name}/plan.parquet"]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=ENVIRONMENT).stdout
            count, took, peak = json.loads(answer)
            assert count == files, count
            peaks.setdefault(label, []).append(peak)
            return float(took)

        cases = {
            "a bare walk": ("walk", folder, options.files),
            "plan of the folders": ("plan", folder, options.files),
            "plan of a manifest": ("plan", manifest, options.listed),
        }
        ways = {label: partial(seconds, label, *case) for label, case in cases.items()}
        found = in_turn(ways, options.rounds, measured.notes, ["plan of a manifest"])
    for label, (_, _, files) in cases.items():
        measured.figures.append(Figure(f"{label}, {files:,} files", found[label], "{:.2f} s"))
        measured.figures.append(Figure(f"{label}: memory", peaks[label], "{:,.0f} MB"))
    times = ratios(found, "plan of the folders", "a bare walk")
    measured.figures.append(Figure("plan of the folders, of a bare walk", times, "{:.2f} times", at_most=2))
    return measured


if __name__ == "__main__":
    if sys.argv[1:2] == ["measured"]:
        be_measured(*sys.argv[2:])
    else:
        claim.main(__doc__, measure, {"files": Size(1_000_000, 10_000), "listed": Size(10_000_000, 100_000)})
