"""Which worker runs which mini-batch, and when a mini-batch, or the run, is over.

Events come in as method calls, each with what happened; actions go out as a list of small frozen dataclasses:

    joined ----+                              +--> Grant(rank, mini-batches, tries)
    attempts --+--> state: owner[], tries[] --+--> Recall(rank)
    returned --+    waiting heap, fresh spans +--> Abort(reason)
    left ------+                              +--> Finish()

A mini-batch is fresh (in the plan, never granted), waiting (came back: failed, recalled, or its rank was lost), held by
one rank, or final. `owner` says which; an attempt counts only if it comes from the holder, so that every mini-batch
becomes final once however late, doubled or out of order the events arrive.
"""

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from mpibatch.scheduling.thresholds import Limits, Tally
from mpibatch.scheduling.window import Window
from mpibatch.types import ATTEMPT_FIELDS, UNKNOWN, Cause, Flag

ATTEMPT_DTYPE = np.dtype(ATTEMPT_FIELDS)

FEW = 4  # attempts in one message, up to which looking at each is faster than arrays
SUCCEEDED, ISOLATED, ESTIMATED = int(Cause.SUCCEEDED), int(Flag.ISOLATED), int(Flag.ESTIMATED)

FRESH = -1
WAITING = -2
FINAL = -3


@dataclass(frozen=True, slots=True)
class Policy:
    """The part of parallel_run_config that scheduling reads."""

    run_max_try: int = 3
    isolate_failures: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Grant:
    """Mini-batches [first, first + count) go to `rank`, as try number `tries`.

    isolate: 0, or how many items the one mini-batch has: it failed its last try, number `tries`, and is to be run in
             parts
    """

    rank: int
    first: int
    count: int
    tries: int
    isolate: int = 0


@dataclass(frozen=True, slots=True)
class Recall:
    """`rank` is to give back up to `count` mini-batches that it has not begun; others are idle."""

    rank: int
    count: int


@dataclass(frozen=True, slots=True)
class Abort:
    """Give up: a threshold was passed, or nobody is left to work."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Every mini-batch is final, or the run is stopping and nothing is in flight any more."""


Action = Grant | Recall | Abort | Finish


@dataclass(slots=True)
class _Worker:
    rank: int
    held: int = 0
    recalling: bool = False
    dry: bool = False  # the last recall brought nothing, and nothing was granted since
    shelf: int = 0  # what it holds, where something of that could be recalled


class Scheduler:
    """Drives one run of `total` mini-batches.

    outcomes: of a resumed run: an entry per mini-batch with the fields final, items, succeeded and flags
    """

    def __init__(self, total: int, policy: Policy, outcomes: NDArray[np.void] | None = None) -> None:
        self.total = total
        self.policy = policy
        self.tally = Tally()
        self.duplicates = 0
        self.window = Window()
        self._owner = np.full(total, FRESH, dtype=np.int32)
        self._tries = np.zeros(total, dtype=np.uint8)
        if outcomes is not None:
            self._owner[outcomes["final"]] = FINAL
            self._count(outcomes[outcomes["final"]])
        self._fresh = deque(_spans(np.flatnonzero(self._owner == FRESH)))
        self._fresh_count = sum(last - first for first, last in self._fresh)
        self._waiting: list[int] = []
        self._isolate: dict[int, int] = {}
        self._workers: dict[int, _Worker] = {}
        self._idle: set[int] = set()  # workers that hold nothing, and owe no answer to a Recall
        self._rich: dict[int, set[int]] = {}  # workers from which something could be recalled, by how much they hold
        self._held = 0
        self._recalling = 0  # workers that owe an answer to a Recall
        self._stopping = False
        self._over = False

    @property
    def remaining(self) -> int:
        """Mini-batches that are not final."""
        return self._fresh_count + len(self._waiting) + self._held

    def is_final(self, index: int) -> bool:
        return bool(self._owner[index] == FINAL)

    def in_flight(self, at_most: int) -> list[int]:
        """Mini-batches that some rank holds, the first `at_most` of them."""
        return [int(index) for index in np.flatnonzero(self._owner >= 0)[:at_most]]

    def held_by(self, rank: int) -> list[int]:
        """What `rank` holds now, in order: for the message about a rank that is gone."""
        return [int(index) for index in np.flatnonzero(self._owner == rank)]

    # -- events

    def begin(self) -> list[Action]:
        """Before anything else: an empty plan, or one that is final already, is finished."""
        return self._actions()

    def joined(self, rank: int) -> list[Action]:
        """`rank` can work: its executor has run init()."""
        self._note(self._workers.setdefault(rank, _Worker(rank)))
        return self._actions()

    def left(self, rank: int) -> list[Action]:
        """`rank` is lost or has retired: what it holds goes to others and counts as no try."""
        worker = self._workers.get(rank)
        if worker is not None:
            self._take_back(rank, np.flatnonzero(self._owner == rank))
            self._recalling -= worker.recalling
            del self._workers[rank]
            self._idle.discard(rank)
            self._shelve(worker, 0)
        return self._actions()

    def returned(self, rank: int, indices: list[int], asked: bool) -> list[Action]:
        """Given back without a try; `asked`: the answer to a Recall, maybe empty."""
        worker = self._workers.get(rank)
        if worker is not None:
            if asked and worker.recalling:
                self._recalling -= 1
                worker.recalling = False
                worker.dry = not indices
            self._take_back(rank, np.asarray(indices, dtype=np.int64))
            self._note(worker)
        return self._actions()

    def attempts(self, rank: int, records: NDArray[np.void]) -> tuple[NDArray[np.bool_], list[Action]]:
        """Attempts of `rank` have ended.

        records: array of ATTEMPT_DTYPE, in the order in which they ended
        Returns a mask of those that made their mini-batch final (they belong in the results log), and what to do.
        """
        if len(records) <= FEW or _repeats(records["index"]):
            made_final = np.array([self._judge_one(rank, record) for record in records], dtype=bool)
        else:
            made_final = self._judge(rank, records)
        return made_final, self._actions(rank)

    def reject(self, items: int) -> list[Action]:
        """A success that assembly had to refuse (its schema fits no other's): its `items` have failed after all."""
        self.tally.mini_batches_succeeded -= 1
        self.tally.mini_batches_failed += 1
        self.tally.items_succeeded -= items
        self.tally.items_failed += items
        return self._actions()

    def stop(self) -> list[Action]:
        """Nothing is granted any more; Finish follows when nothing is in flight."""
        self._stopping = True
        return self._actions()

    # -- state

    def _judge(self, rank: int, records: NDArray[np.void]) -> NDArray[np.bool_]:
        index = records["index"]
        counts = self._owner[index] == rank
        self.duplicates += int(len(records) - counts.sum())
        final = counts & ((records["cause"] == Cause.SUCCEEDED) | ((records["flags"] & Flag.ISOLATED) != 0))
        for position in np.flatnonzero(counts & ~final):
            final[position] = not self._again(records[position])
        done, again = index[final], index[counts & ~final]
        self._owner[done] = FINAL
        self._release(rank, len(done) + len(again))
        for waiting in again:
            self._owner[waiting] = WAITING
            heapq.heappush(self._waiting, int(waiting))
        self._count(records[final])
        seconds = (records["load"] + records["run"] + records["encode"]).astype(np.float64)
        good = seconds[counts & (records["cause"] == Cause.SUCCEEDED)]  # those that fail at once say nothing of others
        self.window.learn(float(good.sum()), len(good), float(seconds[counts].max(initial=0.0)))
        return np.asarray(final, dtype=np.bool_)

    def _judge_one(self, rank: int, record: np.void) -> bool:
        """The same for one record: long mini-batches come one by one, and arrays of one cost five times as much."""
        index = int(record["index"])
        if self._owner[index] != rank:
            self.duplicates += 1
            return False
        final = record["cause"] == SUCCEEDED or record["flags"] & ISOLATED != 0 or not self._again(record)
        self._owner[index] = FINAL if final else WAITING
        self._release(rank, 1)
        if final:
            self._count_one(record)
        else:
            heapq.heappush(self._waiting, index)
        seconds = float(record["load"]) + float(record["run"]) + float(record["encode"])
        good = bool(record["cause"] == SUCCEEDED)  # one that fails at once says nothing of others
        self.window.learn(seconds * good, int(good), seconds)
        return bool(final)

    def _again(self, record: np.void) -> bool:
        """Whether a failed attempt leaves its mini-batch a further try (or its isolation)."""
        index, cause = int(record["index"]), int(record["cause"])
        if cause == Cause.LOST_RANK:
            return True
        self._tries[index] += 1
        if self._tries[index] < self.policy.run_max_try:
            return True
        if self.policy.isolate_failures and cause != Cause.LOAD_ERROR and record["items"] > 1:
            self._isolate[index] = int(record["items"])
            return True
        return False

    def _count(self, final: NDArray[np.void]) -> None:
        items, succeeded = final["items"], final["succeeded"]
        failed = (succeeded == 0) & (items != 0)
        lost = np.where(items == UNKNOWN, 1, np.maximum(items - succeeded, 0))
        estimated = (items == UNKNOWN) | ((final["flags"] & Flag.ESTIMATED) != 0)
        self.tally.mini_batches_failed += int(failed.sum())
        self.tally.mini_batches_succeeded += int(len(final) - failed.sum())
        self.tally.items_failed += int(lost.sum())
        self.tally.items_estimated += int(lost[estimated].sum())
        self.tally.items_succeeded += int(succeeded.sum())

    def _count_one(self, final: np.void) -> None:
        items, succeeded = int(final["items"]), int(final["succeeded"])
        failed = succeeded == 0 and items != 0
        lost = 1 if items == UNKNOWN else max(items - succeeded, 0)
        self.tally.mini_batches_failed += failed
        self.tally.mini_batches_succeeded += not failed
        self.tally.items_failed += lost
        if items == UNKNOWN or final["flags"] & ESTIMATED:
            self.tally.items_estimated += lost
        self.tally.items_succeeded += succeeded

    def _take_back(self, rank: int, indices: NDArray[np.int64]) -> None:
        indices = np.unique(indices[self._owner[indices] == rank])
        self._owner[indices] = WAITING
        self._release(rank, len(indices))
        for index in indices:
            heapq.heappush(self._waiting, int(index))

    def _release(self, rank: int, count: int) -> None:
        self._held -= count
        worker = self._workers.get(rank)
        if worker is not None:
            worker.held -= count
            worker.dry = worker.dry and not count
            self._note(worker)

    def _note(self, worker: _Worker) -> None:
        """Keeps the two sets that make a decision cheap however many workers there are."""
        (self._idle.discard if worker.held or worker.recalling else self._idle.add)(worker.rank)
        recallable = worker.held >= 2 and not worker.recalling and not worker.dry
        self._shelve(worker, worker.held if recallable else 0)

    def _shelve(self, worker: _Worker, shelf: int) -> None:
        if shelf == worker.shelf:
            return
        if worker.shelf:
            self._rich[worker.shelf].discard(worker.rank)
            if not self._rich[worker.shelf]:
                del self._rich[worker.shelf]
        if shelf:
            self._rich.setdefault(shelf, set()).add(worker.rank)
        worker.shelf = shelf

    # -- decisions

    def _actions(self, rank: int | None = None) -> list[Action]:
        """What follows from the state now. Only `rank`, whose event this was, and idle workers can need anything."""
        if self._over:
            return []
        reason = self.tally.passed(self.policy.limits)
        if reason is not None:
            self._over = True
            return [Abort(reason)]
        if self.remaining == 0 or (self._stopping and not self._held):
            self._over = True
            return [Finish()]
        if self._stopping:
            return []
        needy = [] if rank is None or rank not in self._workers else [rank]
        grants: list[Action] = []
        for worker in chain(needy, sorted(islice(self._idle, self._pending))) if self._pending else ():
            grants.extend(self._fill(worker))
        return grants or self._recalls()

    @property
    def _pending(self) -> int:
        return self._fresh_count + len(self._waiting)

    def _fill(self, rank: int) -> list[Action]:
        worker = self._workers[rank]
        size = self.window.size(self._pending, len(self._workers))
        if not self._pending or worker.recalling or worker.held > size // 2:
            return []
        grants: list[Action] = []
        room = size - worker.held
        while room > 0 and (self._waiting or self._fresh):
            grant = self._grant_waiting(rank, room) if self._waiting else self._grant_fresh(rank, room)
            self._owner[grant.first : grant.first + grant.count] = rank
            worker.held += grant.count
            worker.dry = False
            self._held += grant.count
            room -= grant.count
            grants.append(grant)
        self._note(worker)
        return grants

    def _grant_waiting(self, rank: int, room: int) -> Grant:
        first = heapq.heappop(self._waiting)
        tries, isolate, count = int(self._tries[first]), self._isolate.get(first, 0), 1
        while count < room and not isolate and self._waiting and self._waiting[0] == first + count:
            if self._tries[first + count] != tries or first + count in self._isolate:
                break
            heapq.heappop(self._waiting)
            count += 1
        return Grant(rank, first, count, tries if isolate else tries + 1, isolate)

    def _grant_fresh(self, rank: int, room: int) -> Grant:
        first, last = self._fresh.popleft()
        count = min(room, last - first)
        if first + count < last:
            self._fresh.appendleft((first + count, last))
        self._fresh_count -= count
        return Grant(rank, first, count, 1)

    def _recalls(self) -> list[Action]:
        """With nothing left to grant, idle workers take over what others hold and have not begun."""
        wanted = len(self._idle) - self._recalling
        if self._pending or wanted <= 0 or not self._rich:
            return []
        actions: list[Action] = []
        while self._rich and len(actions) < wanted:
            worker = self._workers[next(iter(self._rich[max(self._rich)]))]
            worker.recalling = True
            self._recalling += 1
            self._note(worker)
            actions.append(Recall(worker.rank, worker.held // 2))
        return actions


def _repeats(index: NDArray[np.int64]) -> bool:
    """Whether the same mini-batch may stand twice in one message; in order, as nearly always, is quick to see."""
    return bool(len(index) > 1 and not np.all(index[1:] > index[:-1]) and len(np.unique(index)) < len(index))


def _spans(indices: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Runs of consecutive numbers as [first, last)."""
    if not len(indices):
        return []
    cuts = np.flatnonzero(np.diff(indices) != 1) + 1
    firsts = indices[np.concatenate(([0], cuts))]
    lasts = indices[np.concatenate((cuts - 1, [len(indices) - 1]))] + 1
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))
