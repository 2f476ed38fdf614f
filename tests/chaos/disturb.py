"""Finding the processes of a job by what they are, and doing something to one of them."""

import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.processes import command, is_there, marked

KINDS = ("executor", "supervisor", "deadman", "rank", "rank 0", "mpirun", "launcher", "launcher's supervisor", "tree")
STOPPABLE = ("executor", "rank")


@dataclass(frozen=True)
class Disturbance:
    """kind: of KINDS; what: SIGKILL, SIGSTOP, or one that asks the run to stop; after: seconds from the start."""

    kind: str
    what: signal.Signals
    after: float

    @property
    def name(self) -> str:
        return f"{self.what.name} {self.kind}"


def any_disturbance(choice: random.Random, spare: frozenset[str]) -> Disturbance:
    after = choice.uniform(0.0, 4.0)
    kinds = [kind for kind in KINDS if kind not in spare]
    dice = choice.random()
    if dice < 0.12:
        return Disturbance("launcher", choice.choice([signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]), after)
    if dice < 0.27:
        return Disturbance(choice.choice([kind for kind in STOPPABLE if kind not in spare]), signal.SIGSTOP, after)
    return Disturbance(choice.choice(kinds), signal.SIGKILL, after)


def processes(mark: str, run: Path, started: int) -> dict[str, list[int]]:
    """Those of a job by kind; `started` is the one that was started by hand (launcher, or mpirun)."""
    found: dict[str, list[int]] = {kind: [] for kind in KINDS}
    zero, own = _owner(run), " ".join(command(started).split())
    for pid in marked(mark):
        words = command(pid).split()
        line = " ".join(words)
        if "supervisor_process" in line:
            found["supervisor" if "mpibatch.executor.main" in line else "launcher's supervisor"].append(pid)
        elif "deadman_process" in line:
            found["deadman"].append(pid)
        elif "mpibatch.executor.main" in words:
            found["executor"].append(pid)
        elif words and Path(words[0]).name in ("mpirun", "mpiexec", "prterun", "mpiexec.hydra"):
            found["mpirun"].append(pid)
        elif pid == started:
            found["launcher"].append(pid)
        elif line == own:
            pass  # a child of the launcher before it runs a program of its own: stopping it stops the launcher
        elif "mpibatch.mpi" in words or ("mpibatch" in words and "-P" not in words):
            found["rank 0" if pid == zero else "rank"].append(pid)
        found["tree"].append(pid)
    found["launcher"] = found["launcher"] or found["mpirun"][:1]  # a user's own mpirun
    return found


def _owner(run: Path) -> int:
    with suppress(OSError, ValueError):
        return int(json.loads((run / "owner.json").read_text())["pid"])
    return -1


def disturb(what: Disturbance, mark: str, run: Path, started: int, choice: random.Random) -> Counter[str]:
    """Does it to a process of that kind, as soon as there is one; nothing where the job ends before."""
    until = time.monotonic() + 6.0
    while is_there(started) and time.monotonic() < until:
        targets = processes(mark, run, started)[what.kind]
        if targets:
            _send(targets if what.kind == "tree" else [choice.choice(targets)], what.what)
            while what.kind == "tree" and (newborn := list(marked(mark))):
                _send(newborn, what.what)
            return Counter([what.name])
        time.sleep(0.02)
    return Counter()


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
