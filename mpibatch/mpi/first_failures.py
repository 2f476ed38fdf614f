"""Whether a run fails from its start, everywhere by the same error: its script is broken, and going on costs the night.

    StartFailed of every rank ------------------------+
    attempts of every rank, none of them successful --+--FirstFailures--> why the run is to end, or None

Independent processes that agree are the evidence, so a run of one rank is judged by its tries and thresholds alone.
Where failed items are tolerated the first files may just be bad ones: then the error has to be the same, to the letter,
for more mini-batches; and who never wants to give up gets all of them tried. The first success, or a second kind of
failure, ends the judgement for good. Pure.
"""

import re
from collections.abc import Collection, Iterable

from mpibatch.attempts import AttemptOutcome, Failure
from mpibatch.runs.failure_kinds import last_frame

TOLERANT_MINI_BATCHES = 16  # that have to fail by the same error where failed items are tolerated
_DIGITS = re.compile(r"\d+")

Kind = tuple[str, str, str]


class FirstFailures:
    """One run's. ranks: those that work; error_threshold: the setting."""

    def __init__(self, ranks: Collection[int], error_threshold: int) -> None:
        self._ranks = set(ranks)
        self._tolerant = error_threshold != 0
        self._judges_init = len(self._ranks) > 1
        self._judges_run = self._judges_init and error_threshold != -1
        self._failed_init: set[int] = set()
        self._failed_run: set[int] = set()
        self._mini_batches: set[int] = set()
        self._init_kind: Kind | None = None
        self._run_kind: Kind | None = None

    @property
    def judges_run(self) -> bool:
        """Whether `on_attempts` still wants to know."""
        return self._judges_run

    def on_ready(self) -> None:
        """Somewhere init() has succeeded."""
        self._judges_init = False

    def on_lost(self, rank: int) -> None:
        self._ranks.discard(rank)

    def on_start_failed(self, failure: Failure) -> str | None:
        """An executor of `failure.rank` did not come up."""
        if not self._judges_init:
            return None
        kind = (failure.cause, _DIGITS.sub("#", failure.error), last_frame(failure.traceback))
        self._judges_init = self._init_kind in (None, kind)
        self._init_kind = kind
        self._failed_init.add(failure.rank)
        if not (self._judges_init and self._failed_init >= self._ranks):
            return None
        return f"init() failed on all of {len(self._ranks)} ranks by the same error"

    def on_attempts(
        self, rank: int, outcomes: Iterable[tuple[int, AttemptOutcome]], failures: Iterable[Failure]
    ) -> str | None:
        """Attempts of `rank` have ended. outcomes: mini-batch and how it went; failures: of those that failed."""
        for index, outcome in outcomes:
            self._judges_run &= outcome not in (AttemptOutcome.SUCCEEDED, AttemptOutcome.LOAD_ERROR)
            self._mini_batches.add(index)
        for failure in failures:
            # where there is no traceback the text names mini-batches and ranks
            error = failure.error if failure.traceback else _DIGITS.sub("#", failure.error)
            kind = (failure.cause, error, last_frame(failure.traceback))
            self._judges_run &= self._run_kind in (None, kind)
            self._run_kind = kind
        self._failed_run.add(rank)
        enough = TOLERANT_MINI_BATCHES if self._tolerant else len(self._ranks)
        if not (self._judges_run and self._failed_run >= self._ranks and len(self._mini_batches) >= enough):
            return None
        return (
            f"run() failed on all of {len(self._ranks)} ranks by the same error, and never came back: "
            f"{len(self._mini_batches)} mini-batches were tried"
        )
