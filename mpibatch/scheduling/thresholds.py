"""When a run has failed too much. Three limits, ParallelRunStep's names and meanings; -1 ignores a limit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """error_threshold: failed items tolerated; allowed_failed_count: mini-batches of which no item succeeded, likewise;
    allowed_failed_percent: of all mini-batches, judged at the end only."""

    error_threshold: int = 0
    allowed_failed_count: int = -1
    allowed_failed_percent: float = 100.0


@dataclass(slots=True)
class Tally:
    """What has become final so far. An uncounted mini-batch (its rows could not be read) counts as one failed item."""

    mini_batches_succeeded: int = 0  # of which at least one item has a row, or that were empty
    mini_batches_failed: int = 0
    items_succeeded: int = 0
    items_failed: int = 0
    items_estimated: int = 0  # of those failed: of mini-batches whose rows could not be counted for certain

    def passed(self, limits: Limits) -> str | None:
        """The reason to give up now, or None."""
        if 0 <= limits.error_threshold < self.items_failed:
            return f"{self.items_failed} items failed, more than error_threshold: {limits.error_threshold}"
        if 0 <= limits.allowed_failed_count < self.mini_batches_failed:
            allowed = limits.allowed_failed_count
            return f"{self.mini_batches_failed} mini-batches failed, more than allowed_failed_count: {allowed}"
        return None

    def passed_at_end(self, limits: Limits, total: int) -> str | None:
        """The same once all `total` mini-batches are final; the percentage counts only here."""
        percent = 100.0 * self.mini_batches_failed / total if total else 0.0
        if percent > limits.allowed_failed_percent >= 0:
            return (
                f"{self.mini_batches_failed} of {total} mini-batches failed ({percent:.4g}%), "
                f"more than allowed_failed_percent: {limits.allowed_failed_percent:g}"
            )
        return self.passed(limits)
