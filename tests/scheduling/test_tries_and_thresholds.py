"""Tries and thresholds to the unit, isolation's grants, recalls, and how the run ends."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.attempts import AttemptOutcome
from mpibatch.scheduling.actions import Abort, Action, Finish, Grant, Recall
from mpibatch.scheduling.policy import SchedulingPolicy
from mpibatch.scheduling.scheduler import Scheduler
from mpibatch.scheduling.thresholds import OutcomeCounts
from mpibatch.types import UNKNOWN
from tests.scheduling.attempts import FAILING, Attempt, failed, records
from tests.scheduling.policies import policy_with, thresholds_with


def start(
    total: int, policy: SchedulingPolicy | None = None, ranks: Iterable[int] = (0,)
) -> tuple[Scheduler, list[Action]]:
    scheduler = Scheduler(total, policy or policy_with(error_threshold=-1))
    actions = scheduler.start()
    for rank in ranks:
        actions += scheduler.on_worker_ready(rank)
    return scheduler, actions


def grants(actions: Iterable[Action]) -> list[Grant]:
    return [action for action in actions if isinstance(action, Grant)]


def end(scheduler: Scheduler, rank: int, *attempts: Attempt) -> list[Action]:
    return scheduler.on_attempts(records(attempts), rank)[1]


@pytest.mark.parametrize("cause", FAILING)
@pytest.mark.parametrize("tries", [1, 2, 3, 10])
def test_a_mini_batch_that_always_fails_is_tried_run_max_try_times(cause: AttemptOutcome, tries: int) -> None:
    scheduler, actions = start(1, policy_with(run_max_try=tries, error_threshold=-1))
    seen = []
    while True:
        (action,) = actions
        if isinstance(action, Finish):
            break
        assert isinstance(action, Grant)
        seen.append(action.tries)
        actions = end(scheduler, 0, failed(0, cause))
    assert seen == list(range(1, tries + 1))
    assert scheduler.tally == OutcomeCounts(mini_batches_failed=1, items_failed=1)


def test_more_tries_than_a_byte_holds_do_not_begin_again() -> None:
    """Tries are kept in a small integer: it must not wrap round at the largest value a job file may give."""
    scheduler, actions = start(1, policy_with(run_max_try=255, error_threshold=-1))
    for expected in range(1, 256):
        assert grants(actions)[0].tries == expected
        actions = end(scheduler, 0, failed(0))
    assert actions == [Finish()]


def test_a_lost_rank_costs_no_try() -> None:
    scheduler, _ = start(1, policy_with(run_max_try=1), ranks=[0])
    for rank in range(1, 50):
        assert scheduler.on_worker_removed(rank - 1) == []
        (grant,) = grants(scheduler.on_worker_ready(rank))
        assert (grant.first, grant.tries) == (0, 1)
    assert end(scheduler, 49, Attempt(0)) == [Finish()]


def test_a_returned_grant_costs_no_try() -> None:
    scheduler, actions = start(1, policy_with(run_max_try=1))
    for _ in range(20):
        assert [grant.tries for grant in grants(actions)] == [1]
        actions = scheduler.on_returned(0, [0], recalled=False)


def run_all(scheduler: Scheduler, actions: list[Action], bad: set[int], items: int = 1) -> Action:
    """One worker to the end; mini-batches in `bad` fail each time. Returns the one last action."""
    while grants(actions):
        following: list[Action] = []
        for grant in grants(actions):
            for index in range(grant.first, grant.first + grant.count):
                attempt = failed(index, items=items) if index in bad else Attempt(index, items=items, succeeded=items)
                following += end(scheduler, 0, attempt)
                if following and isinstance(following[-1], Abort | Finish):
                    return following[-1]
        actions = following
    raise AssertionError("neither Finish nor Abort came")


@pytest.mark.parametrize("threshold", [0, 1, 10, -1])
@pytest.mark.parametrize("over", [False, True])
def test_error_threshold_is_exact(threshold: int, over: bool) -> None:
    """N failing items are tolerated, one more is not; -1 tolerates all."""
    bad = set(range(0, 2 * (max(threshold, 0) + over), 2))
    scheduler, actions = start(40, policy_with(run_max_try=2, error_threshold=threshold))
    last = run_all(scheduler, actions, bad)
    if over and threshold >= 0:
        assert isinstance(last, Abort)
        assert f"{threshold + 1} items failed, more than error_threshold: {threshold}" in last.reason
    else:
        assert last == Finish()
        assert scheduler.tally.exceeded_at_end(scheduler.policy.thresholds, 40) is None


@pytest.mark.parametrize("allowed", [0, 1, 3, -1])
@pytest.mark.parametrize("over", [False, True])
def test_allowed_failed_count_is_exact(allowed: int, over: bool) -> None:
    bad = set(range(max(allowed, 0) + over))
    scheduler, actions = start(12, policy_with(run_max_try=1, error_threshold=-1, allowed_failed_count=allowed))
    last = run_all(scheduler, actions, bad, items=5)
    if over and allowed >= 0:
        assert isinstance(last, Abort)
        assert f"more than allowed_failed_count: {allowed}" in last.reason
    else:
        assert last == Finish()


def test_a_mini_batch_with_one_good_item_has_not_failed() -> None:
    """allowed_failed_count counts mini-batches of which no item succeeded; error_threshold counts the items."""
    scheduler, _ = start(2, policy_with(run_max_try=1, error_threshold=9, allowed_failed_count=0))
    assert end(scheduler, 0, Attempt(0, items=10, succeeded=1)) == []
    (abort,) = end(scheduler, 0, Attempt(1, items=10, succeeded=9))
    assert isinstance(abort, Abort)
    assert "10 items failed" in abort.reason
    assert scheduler.tally == OutcomeCounts(2, 0, 10, 10)


def test_an_empty_mini_batch_succeeds() -> None:
    scheduler, _ = start(1, policy_with(error_threshold=0, allowed_failed_count=0, allowed_failed_percent=0.0))
    assert end(scheduler, 0, Attempt(0, items=0, succeeded=0)) == [Finish()]
    assert scheduler.tally == OutcomeCounts(mini_batches_succeeded=1)


@given(st.integers(1, 400), st.data())
def test_the_percentage_counts_at_the_end_only(total: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, total))
    percent = data.draw(st.sampled_from([0.0, 10.0, 33.3, 50.0, 100.0, -1.0]))
    limits = thresholds_with(error_threshold=-1, allowed_failed_percent=percent)
    tally = OutcomeCounts(total - bad, bad, total - bad, bad)
    assert tally.exceeded(limits) is None
    assert (tally.exceeded_at_end(limits, total) is not None) == (
        bad == total or (percent >= 0 and 100 * bad / total > percent)
    )


def test_an_empty_plan_has_failed_nothing() -> None:
    scheduler, actions = start(0)
    assert actions == [Finish()]
    assert (
        scheduler.tally.exceeded_at_end(
            thresholds_with(error_threshold=0, allowed_failed_count=0, allowed_failed_percent=0.0), 0
        )
        is None
    )


def test_rows_that_could_not_be_counted_are_one_failed_item() -> None:
    scheduler, _ = start(1, policy_with(run_max_try=1, error_threshold=1))
    assert end(scheduler, 0, failed(0, AttemptOutcome.LOAD_ERROR, UNKNOWN)) == [Finish()]
    assert scheduler.tally.items_failed == 1


def test_isolation_comes_after_the_last_try_and_once() -> None:
    scheduler, actions = start(1, policy_with(run_max_try=2, isolate_failures=True, error_threshold=-1))
    assert [(grant.tries, grant.isolate_items) for grant in grants(actions)] == [(1, 0)]
    actions = end(scheduler, 0, failed(0, items=8))
    assert [(grant.tries, grant.isolate_items) for grant in grants(actions)] == [(2, 0)]
    actions = end(scheduler, 0, failed(0, items=8))
    assert [(grant.tries, grant.isolate_items) for grant in grants(actions)] == [(2, 8)]
    outcome = Attempt(0, AttemptOutcome.SUCCEEDED, 8, 7, isolated=True)
    assert end(scheduler, 0, outcome) == [Finish()]
    assert scheduler.tally == OutcomeCounts(1, 0, 7, 1)


def test_isolation_after_as_many_tries_as_a_byte_holds() -> None:
    """run_max_try may be 255, and isolation is no further try: its number must fit the records too."""
    scheduler, actions = start(1, policy_with(run_max_try=255, isolate_failures=True, error_threshold=-1))
    for _ in range(255):
        actions = end(scheduler, 0, failed(0, items=2))
    assert grants(actions) == [Grant(0, 0, 1, 255, isolate_items=2)]


def test_an_isolation_that_finds_nothing_good_is_final_too() -> None:
    scheduler, _ = start(1, policy_with(run_max_try=1, isolate_failures=True, error_threshold=-1))
    end(scheduler, 0, failed(0, items=2))
    assert end(scheduler, 0, Attempt(0, AttemptOutcome.TIMEOUT, 2, 0, isolated=True)) == [Finish()]


def test_an_isolation_cut_off_by_a_lost_rank_starts_again() -> None:
    scheduler, _ = start(1, policy_with(run_max_try=1, isolate_failures=True, error_threshold=-1), ranks=[0, 1])
    (grant,) = grants(end(scheduler, 0, failed(0, items=4)))
    assert grant.isolate_items == 4
    (again,) = grants(scheduler.on_worker_removed(grant.rank))
    assert (again.isolate_items, again.tries) == (4, grant.tries)
    assert again.rank != grant.rank


@pytest.mark.parametrize(
    ("cause", "items"),
    [(AttemptOutcome.LOAD_ERROR, 5), (AttemptOutcome.USER_ERROR, 1), (AttemptOutcome.TIMEOUT, UNKNOWN)],
)
def test_isolation_is_not_for_what_has_no_parts(cause: AttemptOutcome, items: int) -> None:
    """A load error of the whole, a single item, and a mini-batch that was never counted."""
    scheduler, _ = start(1, policy_with(run_max_try=1, isolate_failures=True, error_threshold=-1))
    assert end(scheduler, 0, failed(0, cause, items)) == [Finish()]


def test_an_idle_worker_takes_over_what_another_has_not_begun() -> None:
    scheduler, actions = start(2)
    assert [(grant.rank, grant.first, grant.count) for grant in grants(actions)] == [(0, 0, 2)]
    assert scheduler.on_worker_ready(1) == [Recall(0, 1)]
    assert scheduler.on_worker_ready(2) == []  # nothing more can be had from rank 0 until it has answered
    assert grants(scheduler.on_returned(0, [1], recalled=True)) == [Grant(1, 1, 1, 1)]


def test_a_recall_that_brings_nothing_is_not_repeated_at_once() -> None:
    """Otherwise an idle worker and a busy one would ask and answer without end."""
    scheduler, _ = start(2)
    assert scheduler.on_worker_ready(1) == [Recall(0, 1)]
    assert scheduler.on_returned(0, [], recalled=True) == []
    assert scheduler.on_worker_ready(2) == []


def test_attempts_that_cross_a_recall_count() -> None:
    """The worker had finished what it was asked to give back: it answers with nothing, and nothing is lost."""
    scheduler, _ = start(2)
    scheduler.on_worker_ready(1)
    assert end(scheduler, 0, Attempt(0)) == []
    assert scheduler.on_returned(0, [], recalled=True) == []
    assert end(scheduler, 0, Attempt(1)) == [Finish()]


def test_drain_waits_for_what_is_in_flight() -> None:
    scheduler, _ = start(10, ranks=[0, 1])
    assert scheduler.drain() == []
    for rank in (0, 1):
        held = scheduler.assigned_to(rank)
        actions = end(scheduler, rank, Attempt(held[0]))
        assert actions == []
        actions = scheduler.on_returned(rank, held[1:], recalled=False)
    assert actions == [Finish()]
    assert scheduler.remaining == 8
    assert scheduler.on_worker_ready(2) == []


def test_drain_before_anything_is_granted_finishes_at_once() -> None:
    scheduler = Scheduler(5, policy_with())
    assert scheduler.start() == []
    assert scheduler.drain() == [Finish()]
    assert scheduler.drain() == []


def test_a_rejected_success_counts_against_the_threshold() -> None:
    scheduler, _ = start(2, policy_with(error_threshold=3))
    assert end(scheduler, 0, Attempt(0, items=4, succeeded=4)) == []
    (abort,) = scheduler.on_rows_rejected(4)
    assert isinstance(abort, Abort)
    assert "4 items failed" in abort.reason
    assert scheduler.tally == OutcomeCounts(0, 1, 0, 4)


def test_a_resumed_run_grants_only_what_is_not_final() -> None:
    import numpy as np

    outcomes = np.zeros(6, dtype=[("final", "?"), ("flags", "u1"), ("items", "<i4"), ("succeeded", "<i4")])
    outcomes[[0, 3, 5]] = (True, 0, 1, 1)
    scheduler = Scheduler(6, policy_with(error_threshold=-1), outcomes)
    scheduler.start()
    granted: set[int] = set()
    actions = scheduler.on_worker_ready(0)
    while not any(isinstance(action, Finish) for action in actions):
        held = scheduler.assigned_to(0)
        granted.update(held)
        actions = end(scheduler, 0, *(Attempt(index) for index in held))
    assert granted == {1, 2, 4}
    assert scheduler.tally == OutcomeCounts(6, 0, 6, 0)


def test_nothing_succeeded_is_no_success_whatever_the_limits() -> None:
    """One success is enough, and so is that there was nothing to do."""
    unlimited = thresholds_with(error_threshold=-1, allowed_failed_count=-1, allowed_failed_percent=-1.0)
    assert OutcomeCounts(0, 3).exceeded_at_end(unlimited, 3) == "nothing succeeded: all 3 mini-batches failed"
    assert OutcomeCounts(1, 2).exceeded_at_end(unlimited, 3) is None
    assert OutcomeCounts().exceeded_at_end(unlimited, 0) is None
