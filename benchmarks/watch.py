"""Runs a command and watches the memory of every process below it: peaks as the kernel keeps them (VmHWM)."""

import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mpibatch.liveness.process_tree import descendants

EVERY = 0.05  # seconds: a process's last peak is missed only if it lies within so many before its end


@dataclass(frozen=True)
class Process:
    """One process that was seen. role: rank N, executor, supervisor, launcher, or its program."""

    pid: int
    role: str
    peak: int  # bytes


def watched(command: Sequence[str], environment: Mapping[str, str]) -> list[Process]:
    """Runs it to its successful end; every process below it, the largest first."""
    peaks: dict[int, int] = {}
    roles: dict[int, str] = {}
    over = threading.Event()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)

    def look() -> None:
        while not over.wait(EVERY):
            for pid in [process.pid, *descendants(process.pid)]:
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
    if "mpibatch.executor.main" in text and "supervisor_process" not in text:
        return "executor"
    if "supervisor_process" in text:
        return "supervisor"
    rank = next((entry.partition(b"=")[2].decode() for entry in environment if entry.startswith(RANK)), "")
    if "mpibatch.mpi" in text and rank:
        return f"rank {rank}"
    return "launcher" if "mpibatch" in text else Path(words[0]).name


RANK = b"OMPI_COMM_WORLD_RANK="
