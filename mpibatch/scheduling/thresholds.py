"""When a run has failed too much. Three limits, ParallelRunStep's names and meanings; -1 ignores a limit."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mpibatch.attempts import Flag
from mpibatch.types import UNKNOWN

ESTIMATED = int(Flag.ESTIMATED)


class ThresholdSettings(Protocol):
    """What is read of parallel_run_config, which says how much of each is tolerated and by default."""

    @property
    def error_threshold(self) -> int: ...
    @property
    def allowed_failed_count(self) -> int: ...
    @property
    def allowed_failed_percent(self) -> float: ...


@dataclass(frozen=True, slots=True)
class FailureThresholds:
    """error_threshold: failed items tolerated; allowed_failed_count: mini-batches of which no item succeeded, likewise;
    allowed_failed_percent: of all mini-batches, judged at the end only."""

    error_threshold: int
    allowed_failed_count: int
    allowed_failed_percent: float

    @classmethod
    def from_config(cls, config: ThresholdSettings) -> Self:
        return cls(config.error_threshold, config.allowed_failed_count, config.allowed_failed_percent)


@dataclass(slots=True)
class OutcomeCounts:
    """What has become final so far. An uncounted mini-batch (its rows could not be read) counts as one failed item."""

    mini_batches_succeeded: int = 0  # of which at least one item has a row, or that were empty
    mini_batches_failed: int = 0
    items_succeeded: int = 0
    items_failed: int = 0
    items_estimated: int = 0  # of those failed: of mini-batches whose rows could not be counted for certain

    def add(self, final: NDArray[np.void]) -> None:
        """Mini-batches that have become final: records of ATTEMPT_DTYPE, or entries of the OutcomeTable."""
        items, succeeded = final["items"], final["succeeded"]
        failed = (succeeded == 0) & (items != 0)
        lost = np.where(items == UNKNOWN, 1, np.maximum(items - succeeded, 0))
        estimated = (items == UNKNOWN) | ((final["flags"] & Flag.ESTIMATED) != 0)
        self.mini_batches_failed += int(failed.sum())
        self.mini_batches_succeeded += int(len(final) - failed.sum())
        self.items_failed += int(lost.sum())
        self.items_estimated += int(lost[estimated].sum())
        self.items_succeeded += int(succeeded.sum())

    def add_one(self, final: np.void) -> None:
        """The same for one: arrays of one cost five times as much."""
        items, succeeded = int(final["items"]), int(final["succeeded"])
        failed = succeeded == 0 and items != 0
        lost = 1 if items == UNKNOWN else max(items - succeeded, 0)
        self.mini_batches_failed += failed
        self.mini_batches_succeeded += not failed
        self.items_failed += lost
        if items == UNKNOWN or final["flags"] & ESTIMATED:
            self.items_estimated += lost
        self.items_succeeded += succeeded

    def exceeded(self, thresholds: FailureThresholds) -> str | None:
        """The reason to give up now, or None."""
        if 0 <= thresholds.error_threshold < self.items_failed:
            return f"{self.items_failed} items failed, more than error_threshold: {thresholds.error_threshold}"
        if 0 <= thresholds.allowed_failed_count < self.mini_batches_failed:
            allowed = thresholds.allowed_failed_count
            return f"{self.mini_batches_failed} mini-batches failed, more than allowed_failed_count: {allowed}"
        return None

    def exceeded_at_end(self, thresholds: FailureThresholds, total: int) -> str | None:
        """The same once all `total` mini-batches are final; the percentage counts only here.

        Where nothing succeeded that is a reason whatever the limits.
        """
        if total and not self.mini_batches_succeeded:
            return self.exceeded(thresholds) or f"nothing succeeded: all {total} mini-batches failed"
        percent = 100.0 * self.mini_batches_failed / total if total else 0.0
        if percent > thresholds.allowed_failed_percent >= 0:
            return (
                f"{self.mini_batches_failed} of {total} mini-batches failed ({percent:.4g}%), "
                f"more than allowed_failed_percent: {thresholds.allowed_failed_percent:g}"
            )
        return self.exceeded(thresholds)
