"""Figures of a run, from its measurements: who was busy when, how fast, and how long mini-batches took.

    Measurements --analyse--> Analysis --> charts, advice, the end of a run

An executor is in one state at a time. What it waited for data is what an attempt's `load` took, but no more than the
gap before the next attempt: the rest was read ahead, while run() was at work.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpibatch.runs.measurements import ExecutorStart, Floats, Measurements
from mpibatch.runs.summary import RunState, Summary

STATES = ("init", "load", "run", "encode")


@dataclass(frozen=True, slots=True)
class Lane:
    """What one executor's time went to. starts, seconds: by state, sorted by time, in seconds since the epoch."""

    rank: int
    starts: dict[str, Floats]
    seconds: dict[str, Floats]

    def coverage(self, state: str, edges: Floats) -> Floats:
        """The share of each bin between two edges that this executor was in `state`."""
        starts, seconds = self.starts[state], self.seconds[state]
        if not len(starts):
            return np.zeros(len(edges) - 1)
        before = np.searchsorted(starts, edges, side="right")
        total = np.concatenate(([0.0], np.cumsum(seconds)))
        last = np.maximum(before - 1, 0)
        unfinished = np.where(before > 0, np.maximum(0.0, starts[last] + seconds[last] - edges), 0.0)
        covered: Floats = np.diff(total[before] - unfinished) / np.diff(edges)
        return np.clip(covered, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Analysis:
    """Of the last incarnation of a run; `attempts` and `run` are of all.

    first, last: seconds since the epoch
    finished:    when each of its attempts ended, and `items`, how many items then had a row
    run:         seconds of run() of each attempt that ran
    totals:      seconds by state, of all executors together
    """

    attempts: NDArray[np.void]
    first: float
    last: float
    lanes: tuple[Lane, ...]
    finished: Floats
    items: NDArray[np.int64]
    run: Floats
    totals: dict[str, float]
    starts: tuple[ExecutorStart, ...]
    resources: dict[str, dict[str, Floats]]

    @property
    def seconds(self) -> float:
        return max(self.last - self.first, 1e-9)

    @property
    def busy_share(self) -> float:
        """Of the executors' time after init(), how much went to run() and to encoding; 0 to 1."""
        present = len(self.lanes) * self.seconds - self.totals["init"]
        return min(1.0, (self.totals["run"] + self.totals["encode"]) / present) if present > 0 else 0.0

    def edges(self, bins: int) -> Floats:
        """Of equal bins from the first moment to the last."""
        edges: Floats = np.linspace(self.first, self.last, bins + 1)
        return edges

    def busy(self, bins: int) -> Floats:
        """How many executors were at work (not idle), on average, in each bin."""
        edges = self.edges(bins)
        total = np.zeros(bins)
        for lane in self.lanes:
            for state in STATES:
                total += lane.coverage(state, edges)
        return total


def analyse(measurements: Measurements, summary: Summary | None) -> Analysis | None:
    """None where nothing has been measured yet."""
    attempts, starts = measurements.attempts, measurements.starts
    since = summary.started if summary is not None else 0.0
    of_now = attempts[(attempts["started"] >= since) & (attempts["rank"] >= 0)]
    starts_now = tuple(start for start in starts if start.ready >= since)
    if not len(of_now) and not starts_now:
        return None
    lanes, finished, items = _lanes(of_now, starts_now)
    begins = [start.ready - start.seconds for start in starts_now]
    # executors start while rank 0 plans, and before it says that the run has started
    begins += [since] if since else [float(lane.starts["run"][0]) for lane in lanes if len(lane.starts["run"])]
    first = min(begins)
    ends = [start.ready for start in starts_now] + ([float(finished.max())] if len(finished) else [])
    last = max(ends)
    if summary is not None and summary.status is RunState.RUNNING:
        last = max(last, min(summary.updated, time.time()))
    totals = {state: float(sum(lane.seconds[state].sum() for lane in lanes)) for state in STATES}
    run = attempts["run"].astype(np.float64)
    resources = {
        host: {name: column[columns["time"] >= since] for name, column in columns.items()}
        for host, columns in measurements.resources.items()
    }
    return Analysis(
        attempts, first, max(last, first + 1e-3), lanes, finished, items, run[run > 0], totals, starts_now, resources
    )


def _lanes(
    attempts: NDArray[np.void], starts: tuple[ExecutorStart, ...]
) -> tuple[tuple[Lane, ...], Floats, NDArray[np.int64]]:
    """One lane a rank; when attempts ended, and with how many items, in the same order."""
    order = np.lexsort((attempts["started"], attempts["rank"]))
    ranks = attempts["rank"][order]
    begun = attempts["started"][order]
    load, run, encode = (attempts[name][order].astype(np.float64) for name in ("load", "run", "encode"))
    gap = np.full(len(begun), np.inf)
    if len(begun) > 1:
        follows = ranks[1:] == ranks[:-1]
        gap[:-1][follows] = (begun[1:] - begun[:-1])[follows]
    waited = np.minimum(load, np.maximum(0.0, gap - run - encode))
    repeated = np.concatenate(([False], ranks[1:] == ranks[:-1])) if len(ranks) else np.zeros(0, dtype=bool)
    waited[np.isinf(gap) & repeated] = 0.0  # of the last one nobody can tell; it was most likely read ahead
    lanes = []
    for rank in sorted({*ranks[~repeated].tolist(), *(start.rank for start in starts)}):
        low, high = np.searchsorted(ranks, [rank, rank + 1])
        part = slice(int(low), int(high))
        inits = sorted((start.ready - start.seconds, start.seconds) for start in starts if start.rank == rank)
        at, waits, runs, encodes = begun[part], waited[part], run[part], encode[part]
        lanes.append(
            Lane(
                rank,
                {
                    "init": np.array([one[0] for one in inits], dtype=np.float64),
                    "load": at,
                    "run": at + waits,
                    "encode": at + waits + runs,
                },
                {
                    "init": np.array([one[1] for one in inits], dtype=np.float64),
                    "load": waits,
                    "run": runs,
                    "encode": encodes,
                },
            )
        )
    items: NDArray[np.int64] = attempts["succeeded"][order]
    return tuple(lanes), begun + waited + run + encode, items
