"""The scheduler under any order of events and any mix of outcomes, beside a model that keeps one entry a mini-batch.

Guards: no mini-batch lost, none final twice, none granted to two but as a backup to one that is idle, tries exact, no
worker left idle beside work, the slower of two attempts cancelled once, Finish or Abort exactly once and nothing after
it, and the tally.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from mpibatch.attempts import AttemptOutcome
from mpibatch.scheduling.actions import Abort, Action, Cancel, Finish, Grant, Recall
from mpibatch.scheduling.backups import BackupPolicy
from mpibatch.scheduling.policy import SchedulingPolicy
from mpibatch.scheduling.scheduler import Scheduler
from mpibatch.scheduling.thresholds import FailureThresholds, OutcomeCounts
from mpibatch.types import UNKNOWN
from tests.scheduling.attempts import FAILING, Attempt, records

thresholds = st.builds(
    FailureThresholds,
    error_threshold=st.sampled_from([-1, -1, 0, 1, 5, 30]),
    allowed_failed_count=st.sampled_from([-1, -1, 0, 2]),
    allowed_failed_percent=st.sampled_from([0.0, 50.0, 100.0]),
)
eager = st.sampled_from([None, *(BackupPolicy(least_seconds=2.0, successes=1, workers_each=each) for each in (1, 3))])
policies = st.builds(
    SchedulingPolicy,
    run_max_try=st.integers(1, 4),
    isolate_failures=st.booleans(),
    thresholds=thresholds,
    backups=eager,
)


@dataclass
class Entry:
    """What the model knows of one mini-batch."""

    items: int
    holder: int | None = None
    backup: int | None = None  # who has it too
    failures: int = 0
    isolating: bool = False
    final: bool = False


@dataclass
class Member:
    """What the model knows of one worker."""

    assigned: list[int] = field(default_factory=list)
    recall: int = 0  # what it was asked to give back


class AnyOrder(RuleBasedStateMachine):
    @initialize(
        items=st.lists(st.sampled_from([1, 1, 2, 7, UNKNOWN]), max_size=60),
        policy=policies,
        done=st.sets(st.integers(0, 59)),
        data=st.data(),
    )
    def begin(self, items: list[int], policy: SchedulingPolicy, done: set[int], data: st.DataObject) -> None:
        recovered = {index for index in sorted(done) if index < len(items) and data.draw(st.booleans())}
        self.set_up(items, policy, recovered)

    def set_up(self, items: list[int], policy: SchedulingPolicy, done: set[int]) -> None:
        self.policy = policy
        self.entries = [Entry(count) for count in items]
        self.tally = OutcomeCounts()
        outcomes = np.zeros(len(items), dtype=[("final", "?"), ("flags", "u1"), ("items", "<i4"), ("succeeded", "<i4")])
        for index in done:
            count = 3 if items[index] == UNKNOWN else items[index]  # a success has told
            outcomes[index] = (True, 0, count, count)
            self.entries[index].final = True
            self.tally.mini_batches_succeeded += 1
            self.tally.items_succeeded += count
        self.members: dict[int, Member] = {}
        self.had: dict[int, set[int]] = {}  # whatever a rank was ever granted
        self.ends: list[Action] = []
        self.cancelled: list[Cancel] = []  # that are to come
        self.now = 0.0
        self.draining = False
        self.accepted = 0
        self.successes: list[int] = []  # items of each, as assembly could still refuse it
        self.scheduler = Scheduler(len(items), policy, outcomes)
        self.apply_actions(self.scheduler.start())

    # -- what comes out

    def apply_actions(self, actions: Sequence[Action]) -> None:
        for action in actions:
            assert not self.ends, f"{action} after {self.ends}"
            match action:
                case Grant(rank, first, count, tries, isolate_items):
                    assert not self.draining
                    assert count >= 1
                    member = self.members[rank]
                    for index in range(first, first + count):
                        entry = self.entries[index]
                        assert not entry.final
                        if entry.holder is not None:
                            self.back_up(index, rank)
                            continue
                        assert tries == entry.failures + (not entry.isolating)
                        assert isolate_items == (entry.items if entry.isolating else 0)
                        entry.holder = rank
                        member.assigned.append(index)
                        self.had.setdefault(rank, set()).add(index)
                    assert count == 1 or not isolate_items
                case Recall(rank, count):
                    member = self.members[rank]
                    assert not member.recall
                    assert 1 <= count < len(member.assigned)
                    member.recall = count
                case Cancel():
                    assert self.entries[action.index].final
                    self.cancelled.remove(action)
                case Finish():
                    left = [entry for entry in self.entries if not entry.final]
                    assert not left or (self.draining and all(entry.holder is None for entry in left))
                    self.ends.append(action)
                case Abort(reason):
                    assert self.tally.exceeded(self.policy.thresholds) == reason
                    self.ends.append(action)

    def back_up(self, index: int, rank: int) -> None:
        """Granted though somebody has it."""
        entry, member, rule = self.entries[index], self.members[rank], self.policy.backups
        assert rule is not None
        assert entry.backup is None
        assert rank != entry.holder
        assert not entry.isolating
        assert not member.assigned
        assert not member.recall
        assert all(other.final or other.holder is not None for other in self.entries)
        entry.backup = rank
        assert sum(other.backup is not None for other in self.entries) <= max(1, len(self.members) // rule.workers_each)
        member.assigned.append(index)
        self.had.setdefault(rank, set()).add(index)

    # -- what goes in

    @rule(seconds=st.sampled_from([0.5, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.apply_actions(self.scheduler.back_up(self.now))

    def some(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.members)), label="rank")

    @precondition(lambda self: len(self.members) < 6)
    @rule(rank=st.integers(0, 8))
    def worker_ready(self, rank: int) -> None:
        self.members.setdefault(rank, Member())
        self.apply_actions(self.scheduler.on_worker_ready(rank))

    @precondition(lambda self: self.members)
    @rule(data=st.data(), repeat=st.booleans())
    def attempts(self, data: st.DataObject, repeat: bool) -> None:
        """What a worker holds ends, in any number, order and way; maybe some of it stands twice in the message."""
        rank = self.some(data)
        member = self.members[rank]
        ended = data.draw(st.lists(st.sampled_from(member.assigned), unique=True) if member.assigned else st.just([]))
        message = [self.outcome(index, data) for index in ended]
        if repeat and message:
            message.append(data.draw(st.sampled_from(message)))
        self.deliver(rank, message)

    @precondition(lambda self: self.had)
    @rule(data=st.data())
    def late(self, data: st.DataObject) -> None:
        """A rank, maybe one that was given up, sends what it had been granted at some time."""
        rank = data.draw(st.sampled_from(sorted(self.had)))
        indices = data.draw(st.lists(st.sampled_from(sorted(self.had[rank])), max_size=4))
        self.deliver(rank, [self.outcome(index, data) for index in indices])

    def outcome(self, index: int, data: st.DataObject) -> Attempt:
        entry = self.entries[index]
        items = 3 if entry.items == UNKNOWN else entry.items
        if entry.isolating:
            succeeded = data.draw(st.integers(0, items))
            cause = AttemptOutcome.SUCCEEDED if succeeded else data.draw(st.sampled_from(FAILING))
            return Attempt(index, cause, items, succeeded, isolated=True)
        if data.draw(st.booleans()):
            return Attempt(
                index, AttemptOutcome.SUCCEEDED, items, data.draw(st.integers(0, items))
            )  # a short return too
        return Attempt(index, data.draw(st.sampled_from([*FAILING, AttemptOutcome.LOST_RANK])), entry.items, 0)

    def deliver(self, rank: int, message: list[Attempt]) -> None:
        expected = [self.apply_attempt(rank, attempt) for attempt in message]
        made_final, actions = self.scheduler.on_attempts(records(message), rank)
        assert made_final.tolist() == expected
        self.apply_actions(actions)

    def apply_attempt(self, rank: int, attempt: Attempt) -> bool:
        """The model's verdict: does this attempt make its mini-batch final?"""
        entry = self.entries[attempt.index]
        if entry.backup is not None and rank in (entry.holder, entry.backup):
            if attempt.cause is not AttemptOutcome.SUCCEEDED:
                self.unassign(rank, [attempt.index])
                return False
            slower = entry.backup if rank == entry.holder else entry.holder
            assert slower is not None
            self.members[slower].assigned.remove(attempt.index)
            self.cancelled.append(Cancel(slower, attempt.index))
            entry.holder, entry.backup = rank, None
        if entry.holder != rank:
            return False
        entry.holder = None
        self.members[rank].assigned.remove(attempt.index)
        if attempt.cause is not AttemptOutcome.SUCCEEDED and not attempt.isolated:
            if attempt.cause is AttemptOutcome.LOST_RANK:
                return False
            entry.failures += 1
            if entry.failures < self.policy.run_max_try:
                return False
            if self.policy.isolate_failures and attempt.cause is not AttemptOutcome.LOAD_ERROR and attempt.items > 1:
                entry.isolating = True
                return False
        entry.final = True
        self.accepted += 1
        lost = 1 if attempt.items == UNKNOWN else attempt.items - attempt.succeeded
        self.tally.items_failed += lost
        self.tally.items_estimated += lost * (attempt.items == UNKNOWN)
        self.tally.items_succeeded += attempt.succeeded
        if attempt.succeeded:
            self.tally.mini_batches_succeeded += 1
            self.successes.append(attempt.succeeded)
        else:
            self.tally.mini_batches_failed += 1
        return True

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def return_tasks(self, data: st.DataObject) -> None:
        """Unasked: a worker that retires, or an executor whose unbegun mini-batches cannot be run."""
        rank = self.some(data)
        member = self.members[rank]
        returned = data.draw(
            st.lists(st.sampled_from(member.assigned), unique=True) if member.assigned else st.just([])
        )
        self.unassign(rank, returned)
        self.apply_actions(self.scheduler.on_returned(rank, returned, recalled=False))

    @precondition(lambda self: any(member.recall for member in self.members.values()))
    @rule(data=st.data())
    def answer_recall(self, data: st.DataObject) -> None:
        """A recall is answered in full, in part, or with nothing."""
        recalled = sorted(rank for rank, member in self.members.items() if member.recall)
        rank = data.draw(st.sampled_from(recalled))
        member = self.members[rank]
        most = min(member.recall, len(member.assigned))
        returned = member.assigned[len(member.assigned) - data.draw(st.integers(0, most)) :]
        member.recall = 0
        self.unassign(rank, returned)
        self.apply_actions(self.scheduler.on_returned(rank, returned, recalled=True))

    def unassign(self, rank: int, indices: list[int]) -> None:
        member = self.members[rank]
        for index in list(indices):
            member.assigned.remove(index)
            entry = self.entries[index]
            if entry.holder == rank:
                entry.holder = entry.backup
            entry.backup = None

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def worker_removed(self, data: st.DataObject) -> None:
        rank = self.some(data)
        self.unassign(rank, self.members[rank].assigned)
        del self.members[rank]
        self.apply_actions(self.scheduler.on_worker_removed(rank))

    @precondition(lambda self: self.successes)
    @rule()
    def reject_rows(self) -> None:
        """Assembly finds that the rows of a success fit no others."""
        items = self.successes.pop()
        self.tally.mini_batches_succeeded -= 1
        self.tally.mini_batches_failed += 1
        self.tally.items_succeeded -= items
        self.tally.items_failed += items
        self.apply_actions(self.scheduler.on_rows_rejected(items))

    @rule(sure=st.integers(0, 9))
    def drain(self, sure: int) -> None:
        if not sure:
            self.draining = True
            self.apply_actions(self.scheduler.drain())

    # -- what holds at any time

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        assert self.scheduler.tally == self.tally
        assert not self.cancelled
        assert self.scheduler.remaining == sum(not entry.final for entry in self.entries)
        for index, entry in enumerate(self.entries):
            assert self.scheduler.is_final(index) == entry.final
        for rank, member in self.members.items():
            assert self.scheduler.assigned_to(rank) == sorted(member.assigned)

    @invariant()
    def it_ends_when_it_must(self) -> None:
        if not hasattr(self, "scheduler") or self.ends:
            return
        assert self.tally.exceeded(self.policy.thresholds) is None, "no Abort came"
        assert any(not entry.final for entry in self.entries), "no Finish came"
        assert not self.draining or any(entry.holder is not None for entry in self.entries), "no Finish came"

    @invariant()
    def nobody_idles_beside_work(self) -> None:
        if not hasattr(self, "scheduler") or self.ends or self.draining:
            return
        idle = [rank for rank, member in self.members.items() if not member.assigned and not member.recall]
        if idle:
            assert not [entry for entry in self.entries if not entry.final and entry.holder is None]

    def teardown(self) -> None:
        """From any state at all the run comes to its end."""
        if not hasattr(self, "scheduler"):
            return
        if not self.members and not self.ends:
            self.worker_ready(99)
        for _ in range(20 * len(self.entries) + 20):
            if self.ends:
                break
            for rank, member in list(self.members.items()):
                if member.recall:
                    member.recall = 0
                    self.apply_actions(self.scheduler.on_returned(rank, [], recalled=True))
                done = []
                for index in list(member.assigned):
                    entry = self.entries[index]
                    items = abs(entry.items)
                    done.append(Attempt(index, AttemptOutcome.SUCCEEDED, items, items, isolated=entry.isolating))
                self.deliver(rank, done)
        assert len(self.ends) == 1


AnyOrder.TestCase.settings = settings(stateful_step_count=50)
TestAnyOrder = AnyOrder.TestCase
