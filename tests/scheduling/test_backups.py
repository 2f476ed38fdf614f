"""Backup attempts: what gets one and when, which of two attempts counts, and what they make of a straggler."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize

from mpibatch.attempts import AttemptOutcome
from mpibatch.scheduling.actions import Action, Cancel, Finish, Grant, Recall
from mpibatch.scheduling.backups import BackupPolicy
from mpibatch.scheduling.policy import SchedulingPolicy
from mpibatch.scheduling.scheduler import Scheduler
from tests.scheduling.attempts import FAILING, Attempt, failed, records
from tests.scheduling.policies import policy_with, thresholds_with
from tests.scheduling.test_any_order import AnyOrder
from tests.scheduling.test_simulation import Simulation

LATE = 40.0  # seconds: more than three times those of others, and more than the least


def at_the_tail(
    workers: int = 3, stuck: int = 1, others: int = 20, seconds: float = 10.0, **config: object
) -> Scheduler:
    """Worker k is still at mini-batch 2k, for k below `stuck`; the others have taken so long, other workers idle."""
    scheduler = Scheduler(stuck + others, policy_with(**{"backup_tasks": True, "error_threshold": -1, **config}))
    assigned: dict[int, list[int]] = {rank: [] for rank in range(workers)}
    actions = [action for rank in range(workers) for action in scheduler.on_worker_ready(rank)]
    while actions:
        action, *actions = actions
        assert isinstance(action, Grant | Recall)
        held = assigned[action.rank]
        if isinstance(action, Grant):
            held += range(action.first, action.first + action.count)
        else:
            back, held[1:] = held[1:], []
            actions += scheduler.on_returned(action.rank, back, recalled=True)
        if not (action.rank < stuck and held[0] == 2 * action.rank):
            ended = [Attempt(index, seconds=seconds) for index in held]
            held.clear()
            actions += end(scheduler, action.rank, *ended)
    assert scheduler.remaining == stuck
    assert scheduler.back_up(0.0) == []
    return scheduler


def end(scheduler: Scheduler, rank: int, *attempts: Attempt) -> list[Action]:
    return scheduler.on_attempts(records(attempts), rank)[1]


def holder(scheduler: Scheduler, index: int, ranks: Iterable[int] = range(30)) -> int:
    (rank,) = [rank for rank in ranks if index in scheduler.assigned_to(rank)]
    return rank


def test_what_takes_three_times_the_median_is_begun_again_by_an_idle_worker() -> None:
    scheduler = at_the_tail(seconds=10.0)
    first = holder(scheduler, 0)
    assert scheduler.back_up(29.0) == []
    (grant,) = scheduler.back_up(31.0)
    assert isinstance(grant, Grant)
    assert (grant.first, grant.count, grant.tries) == (0, 1, 1)
    assert grant.rank != first
    assert scheduler.back_up(1000.0) == [], "one is enough"
    assert scheduler.backups.begun == 1


def test_short_ones_are_never_doubled_before_a_few_seconds() -> None:
    scheduler = at_the_tail(seconds=0.01)
    assert scheduler.back_up(4.9) == []
    assert len(scheduler.back_up(5.1)) == 1


@pytest.mark.parametrize(("others", "backups"), [(9, 0), (10, 1)])
def test_a_few_successes_say_nothing_of_what_is_usual(others: int, backups: int) -> None:
    assert len(at_the_tail(others=others).back_up(1000.0)) == backups


def test_without_the_setting_nothing_is_begun_twice() -> None:
    scheduler = at_the_tail(backup_tasks=False)
    assert scheduler.back_up(1000.0) == []


@pytest.mark.parametrize(("workers", "at_a_time"), [(6, 1), (19, 1), (29, 2)])
def test_a_tenth_of_the_workers_runs_backups_those_at_work_for_longest_first(workers: int, at_a_time: int) -> None:
    scheduler = at_the_tail(workers, stuck=3)
    end(scheduler, 0, failed(0))  # and it begins anew, so that it is the youngest
    scheduler.back_up(1.0)
    late = [grant.first for grant in scheduler.back_up(LATE + 1) if isinstance(grant, Grant)]
    assert late == [2, 4][:at_a_time]
    assert scheduler.back_up(LATE + 2) == []


def test_while_others_are_to_be_run_nothing_is_begun_twice() -> None:
    policy = replace(policy_with(), backups=BackupPolicy(successes=1))
    scheduler = Scheduler(100, policy)
    for rank in range(2):
        scheduler.on_worker_ready(rank)
    end(scheduler, 0, Attempt(0, seconds=1.0))
    scheduler.back_up(0.0)
    assert scheduler.back_up(1000.0) == []


@pytest.mark.parametrize("second_wins", [False, True])
def test_the_first_success_counts_and_the_other_is_cancelled(second_wins: bool) -> None:
    scheduler = at_the_tail()
    first = holder(scheduler, 0)
    (grant,) = scheduler.back_up(LATE)
    assert isinstance(grant, Grant)
    winner, loser = (grant.rank, first) if second_wins else (first, grant.rank)
    made_final, actions = scheduler.on_attempts(records([Attempt(0)]), winner)
    assert made_final.tolist() == [True]
    assert actions == [Cancel(loser, 0), Finish()]
    made_final, actions = scheduler.on_attempts(records([Attempt(0)]), loser)
    assert (made_final.tolist(), actions) == ([False], [])
    assert scheduler.tally.mini_batches_succeeded == 21
    assert (scheduler.backups.begun, scheduler.backups.won) == (1, second_wins)


@pytest.mark.parametrize("cause", FAILING)
@pytest.mark.parametrize("second_fails", [False, True])
def test_one_of_two_that_fails_costs_no_try(cause: AttemptOutcome, second_fails: bool) -> None:
    scheduler = at_the_tail(run_max_try=1)
    first = holder(scheduler, 0)
    (grant,) = scheduler.back_up(LATE)
    assert isinstance(grant, Grant)
    fails, goes_on = (grant.rank, first) if second_fails else (first, grant.rank)
    assert end(scheduler, fails, failed(0, cause)) == []
    assert holder(scheduler, 0) == goes_on
    scheduler.back_up(2 * LATE)
    assert scheduler.back_up(1000.0) == [], "one backup a try"
    assert end(scheduler, goes_on, Attempt(0)) == [Finish()]
    assert scheduler.tally.mini_batches_failed == 0


def test_two_that_fail_are_one_try() -> None:
    scheduler = at_the_tail(run_max_try=2)
    first = holder(scheduler, 0)
    (grant,) = scheduler.back_up(LATE)
    assert isinstance(grant, Grant)
    end(scheduler, first, failed(0))
    again = [action for action in end(scheduler, grant.rank, failed(0)) if isinstance(action, Grant)]
    assert [(one.first, one.tries) for one in again] == [(0, 2)]
    scheduler.back_up(100.0)
    (backup,) = scheduler.back_up(100.0 + LATE)
    assert isinstance(backup, Grant)
    assert (backup.first, backup.tries) == (0, 2), "the next try may have a backup of its own"


@pytest.mark.parametrize("second_is_lost", [False, True])
def test_a_lost_rank_is_no_suspicion_while_another_has_the_mini_batch(second_is_lost: bool) -> None:
    scheduler = at_the_tail(workers=4)
    first = holder(scheduler, 0)
    (grant,) = scheduler.back_up(LATE)
    assert isinstance(grant, Grant)
    lost, goes_on = (grant.rank, first) if second_is_lost else (first, grant.rank)
    assert scheduler.on_worker_lost(lost) == ([], [])
    assert holder(scheduler, 0) == goes_on
    _, actions = scheduler.on_worker_lost(goes_on)
    assert [(action.first, action.alone) for action in actions if isinstance(action, Grant)] == [(0, True)]
    scheduler.back_up(100.0)
    assert scheduler.back_up(1000.0) == [], "a suspect runs alone"


def test_a_mini_batch_in_parts_is_run_in_one_place() -> None:
    scheduler = at_the_tail(run_max_try=1, isolate_failures=True)
    (grant,) = [
        action for action in end(scheduler, holder(scheduler, 0), failed(0, items=5)) if isinstance(action, Grant)
    ]
    assert grant.isolate_items == 5
    scheduler.back_up(1.0)
    assert scheduler.back_up(1000.0) == []


def test_a_run_that_stops_begins_nothing_twice() -> None:
    scheduler = at_the_tail()
    assert scheduler.drain() == []
    assert scheduler.back_up(LATE) == []


def test_two_attempts_that_are_given_back_end_a_run_that_stops() -> None:
    scheduler = at_the_tail()
    first = holder(scheduler, 0)
    (grant,) = scheduler.back_up(LATE)
    assert isinstance(grant, Grant)
    scheduler.drain()
    assert scheduler.on_returned(first, [0], recalled=False) == []
    assert scheduler.on_returned(grant.rank, [0], recalled=False) == [Finish()]
    assert scheduler.remaining == 1


class AtTheTail(AnyOrder):
    """Few mini-batches and idle workers: most runs have backups."""

    @initialize(
        items=st.lists(st.sampled_from([1, 1, 2]), min_size=2, max_size=5),
        isolate=st.booleans(),
        workers_each=st.sampled_from([1, 3]),
        workers=st.integers(3, 5),
    )
    def begin(self, items: list[int], isolate: bool, workers_each: int, workers: int) -> None:
        backups = BackupPolicy(least_seconds=2.0, successes=1, workers_each=workers_each)
        self.set_up(items, SchedulingPolicy(3, isolate, thresholds_with(error_threshold=-1), backups), set())
        for rank in range(workers):
            self.worker_ready(rank)
        for rank, member in self.members.items():
            if member.assigned and rank:
                self.deliver(rank, [Attempt(index, items=self.entries[index].items) for index in member.assigned])
        self.time_passes(0.0)
        self.time_passes(3.0)


AtTheTail.TestCase.settings = settings(stateful_step_count=30)
TestAtTheTail = AtTheTail.TestCase


@pytest.mark.parametrize("workers", [8, 32])
def test_stragglers_cost_a_little_in_place_of_all_that_they_take(workers: int) -> None:
    """One attempt in a hundred hangs for ten minutes wherever it is made first: not where it is made again."""
    rng = np.random.default_rng(0)
    durations = rng.exponential(2.0, 40 * workers).tolist()
    hanging = dict.fromkeys(range(len(durations) - workers // 4, len(durations)), 600.0)
    without = Simulation(durations, workers, hanging).run()
    backed_up = Simulation(durations, workers, hanging, policy_with(error_threshold=-1, backup_tasks=True))
    assert backed_up.run() < without / 3
    assert backed_up.scheduler.backups.won >= len(hanging) - 1
