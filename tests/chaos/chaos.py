"""Runs jobs, kills and stops their processes at random moments, fills their disks, and resumes them until the end.

    python -m tests.chaos.chaos [--runs 500] [--seed 0] [--parallel 2] [--folder DIR]

Every run must leave the output bytes, the failed items and the counts of an undisturbed run of the same job, and, five
seconds after each of its incarnations has ended, no process. What a run does follows from its number and the seed; the
moments of the machine do not, so that the same seed is not the same run.
"""

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mpibatch.errors import ExitStatus
from tests.chaos.disturb import any_disturbance, disturb
from tests.chaos.jobs import SHAPES, Outcome, Shape, mpibatch, write
from tests.conftest import ROOT, mpirun
from tests.processes import MARK, command, marked, none_left

PACKAGE = str(ROOT / "mpibatch")
"""A traceback of the script's is for its user; one with frames from here is a fault."""

HANG_SECONDS = 120.0
MOST_RESUMES = 30
IMPORTING_SECONDS = 8.0
"""For a rank whose mpirun was killed while it was still importing: it finds out once it is through."""


@dataclass
class Figures:
    """What was done; `wrong` has a sentence for each run that was not as it must be."""

    runs: int = 0
    resumes: int = 0
    disturbances: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        self.runs += other.runs
        self.resumes += other.resumes
        self.disturbances += other.disturbances
        self.endings += other.endings
        self.wrong += other.wrong


class Chaos:
    """Jobs in `folder`, of which each shape has been run undisturbed once."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.jobs: dict[str, Path] = {}
        self.expected: dict[str, Outcome] = {}

    def shape_of(self, number: int) -> Shape:
        return self.choice_of(number).choice(SHAPES)

    def choice_of(self, number: int) -> random.Random:
        return random.Random(self.seed * 1_000_003 + number)

    def prepare(self, shapes: set[Shape]) -> None:
        for shape in shapes:
            job = self.jobs[shape.name] = write(self.folder / shape.name, shape)
            run = job.parent / "undisturbed"
            subprocess.run(mpibatch("run", job, "-n", 2, "--run-dir", run), check=True, stdout=subprocess.DEVNULL)
            self.expected[shape.name] = Outcome.of(run, shape)

    def run(self, number: int) -> Figures:
        """Run `number`: from its beginning to its end, however many incarnations that takes."""
        choice, shape = self.choice_of(number), self.shape_of(number)
        one = OneRun(self, shape, choice, self.folder / f"run-{number}")
        try:
            one.until_complete()
            one.compare()
        except Exception as error:  # the others go on
            done = ", ".join(one.figures.disturbances)
            one.figures.wrong.append(f"run {number} ({shape.name}, {one.run}; {done}): {type(error).__name__}: {error}")
        finally:
            one.end()
        if not one.figures.wrong:
            shutil.rmtree(one.run.parent)
        return one.figures


class OneRun:
    """One run directory and its incarnations."""

    def __init__(self, chaos: Chaos, shape: Shape, choice: random.Random, folder: Path) -> None:
        self.chaos = chaos
        self.shape = shape
        self.choice = choice
        self.figures = Figures(runs=1)
        self.mark = uuid.uuid4().hex
        folder.mkdir()
        self.run = folder / "run"
        self.log = folder / "console.txt"
        self.disturbances_left = choice.randint(1, 4)
        self.is_interrupted_mpirun = False  # before ranks hear a signal MPICH's mpiexec ends, with a status of its own
        self.full = FullDisk(self.run, choice) if choice.random() < 0.2 else None

    def until_complete(self) -> None:
        """Starts it, and goes on with it as long as it stops early."""
        for incarnation in range(MOST_RESUMES):
            status = self.incarnation(first=not (self.run / "run.json").exists())
            self.figures.resumes += incarnation > 0
            self.figures.endings[str(status)] += 1
            none_left(self.mark, but=is_mpibatch)
            none_left(self.mark, within=IMPORTING_SECONDS)
            if status == ExitStatus.COMPLETE:
                return
            if self.full is not None and status == ExitStatus.ERROR:
                self.full.make_room()
                self.figures.disturbances["ENOSPC"] += 1
                self.full = None
            elif status in (ExitStatus.USAGE, ExitStatus.ABORTED) and not self.is_interrupted_mpirun:
                raise AssertionError(f"it ended with status {status}")
        raise AssertionError(f"not complete after {MOST_RESUMES} resumes")

    def incarnation(self, first: bool) -> int:
        """One start and its end, disturbed while there are disturbances left; the exit status."""
        process, is_mpirun = self.start(first)
        began = time.monotonic()
        self.is_interrupted_mpirun = False
        if self.disturbances_left:
            self.disturbances_left -= 1
            what = any_disturbance(self.choice, self.shape.spare)
            self.is_interrupted_mpirun = is_mpirun and what.kind == "launcher"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(what.after)
            self.figures.disturbances += disturb(what, self.mark, self.run, process.pid, self.choice)
        try:
            return process.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired:
            there = "; ".join(f"{pid} {command(pid)[:120]}" for pid in marked(self.mark))
            raise AssertionError(f"it hangs after {time.monotonic() - began:.0f} s: {there}") from None

    def start(self, first: bool) -> "tuple[subprocess.Popen[bytes], bool]":
        """By mpibatch's launcher, with or without restarts, or by a user's own mpirun; and whether by the latter."""
        ranks = self.choice.randint(2, 3)
        job = self.chaos.jobs[self.shape.name]
        what = ["run", job, "--run-dir", self.run] if first else ["resume", self.run]
        is_mpirun = self.choice.random() < 0.3
        if is_mpirun:
            argv = [*mpirun(Path(sys.executable), ranks), *mpibatch(*what)]
        else:
            argv = mpibatch(*what, "-n", ranks, "--restarts", self.choice.choice([0, 0, 2]))
        with self.log.open("ab") as console:
            process = subprocess.Popen(
                [*(self.full.prefix if self.full is not None else ()), *argv],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                # what mpirun leaves, a later one of the same process number would stumble over
                env={**os.environ, MARK: self.mark, "MPIBATCH_START_LIMIT": "20", "TMPDIR": str(self.run.parent)},
                start_new_session=True,
            )
        return process, is_mpirun

    def compare(self) -> None:
        found, expected = Outcome.of(self.run, self.shape), self.chaos.expected[self.shape.name]
        assert found.output == expected.output, f"the output differs: {_difference(found.output, expected.output)}"
        strange = set(found.failed) ^ set(expected.failed)
        assert self.same_failures(found, expected), f"failed items: {strange}"
        assert found.counts == expected.counts, f"counts: {found.counts}, not {expected.counts}"
        if not (self.run / "owner.json").exists():  # else rank 0 was killed just before it released its lease
            litter = list(self.run.glob(".owner*"))
            assert not litter, f"left over: {litter}"
        said = self.log.read_text(errors="replace")
        assert f'File "{PACKAGE}' not in said, f"a traceback of ours in {self.log}"

    def same_failures(self, found: Outcome, expected: Outcome) -> bool:
        """The same items for the same causes; but the last try may be the one whose executor we stopped or killed."""
        if len(found.failed) != len(expected.failed):
            return False
        ours = {"timeout", "executor_crash"} if self.figures.disturbances else set()
        return all(
            one[:-1] == other[:-1] and (one[-1] == other[-1] or one[-1] in ours)
            for one, other in zip(found.failed, expected.failed, strict=True)
        )

    def end(self) -> None:
        """Whatever is left, after a failure."""
        for pid in marked(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        FullDisk.unmount(self.run, keep=bool(self.figures.wrong))


class FullDisk:
    """A run directory on a file system that is too small; without the right to mount one, a limit to file sizes."""

    def __init__(self, run: Path, choice: random.Random) -> None:
        self.run = run
        self.size = choice.randint(60, 400) << 10
        run.mkdir()
        self.mounted = os.geteuid() == 0 and _quietly(
            ["mount", "-t", "tmpfs", "-o", f"size={self.size}", "x", str(run)]
        )
        self.prefix = () if self.mounted else ("prlimit", f"--fsize={self.size // 4}")

    def make_room(self) -> None:
        if self.mounted:
            subprocess.run(["mount", "-o", "remount,size=64m", str(self.run)], check=True)

    @staticmethod
    def unmount(run: Path, keep: bool) -> None:
        if os.path.ismount(run):
            if keep:
                shutil.copytree(run, run.with_name("kept"), symlinks=True)
            subprocess.run(["umount", "-l", str(run)], check=False)


def _quietly(argv: list[str]) -> bool:
    return subprocess.run(argv, check=False, stderr=subprocess.DEVNULL).returncode == 0


def is_mpibatch(pid: int) -> bool:
    """A rank or what has started it: not of the script, nor what the script lives in."""
    return "mpibatch" in command(pid) and "mpibatch.executor" not in command(pid)


def _difference(found: bytes, expected: bytes) -> str:
    at = next((at for at, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), -1)
    return f"{len(found)} bytes, not {len(expected)}; first at {at}"


@contextmanager
def folder_or_temporary(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="mpibatch-chaos-") as name:
            yield Path(name)
    else:
        folder.mkdir(parents=True)
        yield folder


def chaos(folder: Path, runs: int, seed: int, parallel: int, say: Callable[[str], None]) -> Figures:
    """`runs` runs, `parallel` at a time."""
    folder.mkdir(exist_ok=True)
    all = Chaos(folder, seed)
    all.prepare({all.shape_of(number) for number in range(runs)})
    figures = Figures()
    with ThreadPoolExecutor(parallel) as pool:
        for one in pool.map(all.run, range(runs)):
            figures.add(one)
            for wrong in one.wrong:
                say(wrong)
            if figures.runs % 10 == 0:
                say(f"{figures.runs} runs, {figures.resumes} resumes, {len(figures.wrong)} wrong")
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="must not exist; kept [default: a temporary one]")
    options = parser.parse_args()
    began = time.monotonic()
    with folder_or_temporary(options.folder) as folder:
        figures = chaos(folder, options.runs, options.seed, options.parallel, partial(print, flush=True))
    print(f"runs      {figures.runs} in {time.monotonic() - began:.0f} s")
    print(f"resumes   {figures.resumes}, besides restarts by the launcher")
    for name, count in sorted(figures.disturbances.items()):
        print(f"{count:9} {name}")
    print("endings   " + ", ".join(f"{status}: {count}" for status, count in sorted(figures.endings.items())))
    print(f"wrong     {len(figures.wrong)}")
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
