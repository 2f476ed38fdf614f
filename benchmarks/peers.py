"""Others who hand out the same work to as many processes: each a program of its own (peer_main.py), so that nothing of
one is left when the next is measured.

    run(peer, function, series) --JSON--> peer_main --> seconds of each series, from the first item to the last row
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.job import ENVIRONMENT
from benchmarks.leftovers import end_leftovers
from mpibatch.launching.mpi_installation import find_mpi
from mpibatch.launching.mpirun import mpirun_command
from mpibatch.launching.network import network_flags

LONGEST_SECONDS = 150.0  # of one peer's program


class PeerFailed(Exception):
    """A peer did not do the work; the message says what it said."""


@dataclass(frozen=True, slots=True)
class Peer:
    """name: as peer_main knows it; module: what must be there; rate: about how many no-ops it does in a second."""

    name: str
    module: str
    rate: int


FAR_BEHIND = ("Dask", "Ray")
METAL = Peer("plain loops", "sys", 1_000_000)  # side by side, one a process: nobody hands anything out
POOL = Peer("multiprocessing", "multiprocessing", 60_000)  # Pool.imap with chunksize=1
PEERS = (
    POOL,
    Peer("mpi4py.futures", "mpi4py.futures", 5_000),
    Peer("Dask", "distributed", 600),
    Peer("Ray", "ray", 2_000),
)


def installed(notes: list[str]) -> list[Peer]:
    """Those that can be measured here; the others are noted."""
    missing = [peer for peer in PEERS if importlib.util.find_spec(peer.module) is None]
    notes += [f"{peer.name} is not installed (pip install 'mpibatch[bench]')" for peer in missing]
    return [peer for peer in PEERS if peer not in missing]


def run(
    peer: Peer,
    function: Callable[[Any], list[str]],
    series: Sequence[Sequence[Any]],
    ranks: int,
    limit: float = LONGEST_SECONDS,
    rows: Path | None = None,
) -> list[float]:
    """Seconds of each series of items, in order; none after one that took longer than `limit`.

    function: of a module, from an item to its rows; items: as JSON has them; rows: a file for those of the last series.
    Raises PeerFailed.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        work, answer = Path(name, "work.json"), Path(name, "answer.json")
        rows = rows or Path(name, "rows.txt")
        work.write_text(
            json.dumps({"function": [_module_of(function), function.__qualname__], "series": series, "limit": limit})
        )
        python = [sys.executable]
        if peer.name == "mpi4py.futures":
            mpi = find_mpi(os.environ)
            flags = network_flags(mpi, (), os.environ)
            python = [*mpirun_command(mpi, ranks + 1, network=flags), sys.executable, "-m", "mpi4py.futures"]
        command = [*python, "-m", "benchmarks.peer_main", peer.name, str(ranks), str(work), str(answer), str(rows)]
        process = subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            _, errors = process.communicate(timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            raise PeerFailed(f"{peer.name} took longer than {LONGEST_SECONDS:g} s") from None
        finally:
            process.kill()
            end_leftovers()
        if process.returncode or not answer.exists():
            said = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
            raise PeerFailed(f"{peer.name} ended with status {process.returncode}: {' / '.join(said[-3:])[:300]}")
        seconds: list[float] = json.loads(answer.read_text())
        return seconds


def _module_of(function: Callable[[Any], list[str]]) -> str:
    """By the name under which another process can import it."""
    spec = sys.modules["__main__"].__spec__
    return spec.name if function.__module__ == "__main__" and spec is not None else function.__module__


def rate(peer: Peer, function: Callable[[Any], list[str]], items: Sequence[Any], ranks: int) -> float:
    """Items a second, of as many as take some three seconds at most."""
    some = items[: max(3 * peer.rate, 50)]
    return len(some) / run(peer, function, [some], ranks)[0]
