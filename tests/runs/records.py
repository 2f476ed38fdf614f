"""Summaries of runs that never were."""

from dataclasses import replace
from typing import Any

from mpibatch.runs.summary import Durations, ItemCounts, MiniBatchCounts, RunState, Summary


def ended_run(status: str, **changes: Any) -> Summary:
    """The summary of a run of two mini-batches of one item each."""
    summary = Summary(
        status=RunState(status),
        reason="",
        mini_batches=MiniBatchCounts(total=2, succeeded=2, failed=0, remaining=0),
        items=ItemCounts(total=2, succeeded=2, failed=0),
        attempts={"succeeded": 2},
        seconds=Durations(total=1.0, plan=0.1, processing=0.5),
        output=None,
        ranks=1,
        restarts=0,
    )
    return replace(summary, **changes)
