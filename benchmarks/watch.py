"""Runs a command and watches the memory of every process below it: peaks as the kernel keeps them (VmHWM)."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

EVERY = 0.05  # seconds: a process's last peak is missed only if it lies within so many before its end


@dataclass(frozen=True)
class Process:
    """One process that was seen. role: rank N, executor, guardian, launcher, or its program."""

    pid: int
    role: str
    peak: int  # bytes


def mpibatch(*arguments: object) -> list[Process]:
    """Runs mpibatch with these arguments to its successful end; every process below, the largest first."""
    return watched([sys.executable, "-m", "mpibatch", *map(str, arguments)])


def watched(command: Sequence[str]) -> list[Process]:
    peaks: dict[int, int] = {}
    roles: dict[int, str] = {}
    over = threading.Event()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def look() -> None:
        while not over.wait(EVERY):
            for pid in descendants(process.pid):
                peak = peak_of(pid)
                if peak >= peaks.get(pid, 0) > 0 or peak:
                    peaks[pid] = peak
                    roles[pid] = role_of(pid) or roles.get(pid, "?")

    watcher = threading.Thread(target=look)
    watcher.start()
    status = process.wait()
    over.set()
    watcher.join()
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    found = [Process(pid, roles[pid], peak) for pid, peak in peaks.items()]
    return sorted(found, key=lambda process: -process.peak)


def descendants(pid: int) -> Iterator[int]:
    """The process and all below it."""
    yield pid
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield from descendants(int(child))
    except OSError:
        return


def peak_of(pid: int) -> int:
    """Bytes; 0 for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def role_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    text = " ".join(words)
    if "mpibatch.execution.child" in text and "guardian.py" not in text:
        return "executor"
    if "guardian.py" in text:
        return "guardian"
    rank = next((entry.partition(b"=")[2].decode() for entry in environment if entry.startswith(RANK)), "")
    if "mpibatch.mpi" in text and rank:
        return f"rank {rank}"
    return "launcher" if "mpibatch" in text else Path(words[0]).name


RANK = b"OMPI_COMM_WORLD_RANK="


def wait_until_quiet(seconds: float = 1.0) -> None:
    """Lets what the last run has left to the kernel (writing back, freeing) be done with."""
    os.sync()
    time.sleep(seconds)
