"""Which worker runs which mini-batch, and when a mini-batch, or the run, is over.

Events come in as method calls, each with what happened; actions go out as a list of small frozen dataclasses:

    on_worker_ready ----+                              +--> Grant(rank, mini-batches, tries)
    on_attempts --------+--> state: owner[], tries[] --+--> Recall(rank)
    on_returned --------+    pending (pending.py)      +--> Abort(reason)
    on_worker_removed --+                              +--> Finish()
    on_worker_lost -----+    suspects (suspects.py)    +--> Cancel(rank, mini-batch)
    back_up(now) -------+    backups (backups.py)

A mini-batch is new (in the plan, never granted), requeued (came back: failed, recalled, or its rank was lost),
assigned to one rank, or final. `owner` says which; an attempt counts only if it comes from that rank, so that every
mini-batch becomes final once however late, doubled or out of order the events arrive. Of a mini-batch that has a backup
the first success counts; an attempt that comes to nothing while the other goes on is as if it had never been.
"""

from collections.abc import Iterable, Mapping
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from mpibatch.attempts import AttemptOutcome, Flag
from mpibatch.scheduling.actions import Abort, Action, Cancel, Finish, Grant, Recall
from mpibatch.scheduling.backups import BackupCounts, Backups
from mpibatch.scheduling.indices import repeats
from mpibatch.scheduling.pending import Pending
from mpibatch.scheduling.policy import SchedulingPolicy
from mpibatch.scheduling.recall_candidates import RecallCandidates
from mpibatch.scheduling.suspects import CHARGES_TO_FAIL, Suspects, Suspicion
from mpibatch.scheduling.thresholds import OutcomeCounts
from mpibatch.scheduling.window import GrantWindow
from mpibatch.scheduling.worker_state import WorkerState

VECTORIZE_FROM = 5  # attempts in one look, from which arrays are faster than a loop
SUCCEEDED, ISOLATED = int(AttemptOutcome.SUCCEEDED), int(Flag.ISOLATED)

NEW, REQUEUED, FINAL = -1, -2, -3  # owners of what no rank holds


class Scheduler:
    """Drives one run of `total` mini-batches.

    outcomes:  of a resumed run: an entry per mini-batch with the fields final, items, succeeded and flags
    suspects:  of a resumed run: mini-batches that may have ended a rank
    convicted: of these, those that have for certain: they are to be given up first of all
    """

    def __init__(
        self,
        total: int,
        policy: SchedulingPolicy,
        outcomes: NDArray[np.void] | None = None,
        suspects: Mapping[int, Suspicion] | None = None,
    ) -> None:
        self.total = total
        self.policy = policy
        self.tally = OutcomeCounts()
        self.duplicates = 0
        self.window = GrantWindow()
        self._owner = np.full(total, NEW, dtype=np.int32)
        self._tries = np.zeros(total, dtype=np.uint8)
        if outcomes is not None:
            self._owner[outcomes["final"]] = FINAL
            self.tally.add(outcomes[outcomes["final"]])
        known = {index: one for index, one in (suspects or {}).items() if self._owner[index] == NEW}
        self.convicted = [index for index, one in known.items() if one.charges >= CHARGES_TO_FAIL]
        self._suspects = Suspects({index: one for index, one in known.items() if one.charges < CHARGES_TO_FAIL})
        self._owner[list(known)] = REQUEUED
        self._owner[self.convicted] = 0  # until they are given up
        self._pending = Pending(np.flatnonzero(self._owner == NEW), self._tries)
        self._workers: dict[int, WorkerState] = {}
        self._idle: set[int] = set()  # workers that hold nothing, and owe no answer to a Recall
        self._recall_candidates = RecallCandidates()
        self._backups = Backups(policy.backups, self._owner, self._tries, (self._suspects, self._pending.isolate_items))
        self._cancels: list[Action] = []
        self._assigned = len(self.convicted)  # attempts: two of what has a backup
        self._recalling = 0  # workers that owe an answer to a Recall
        self._draining = False
        self._finished = False

    @property
    def remaining(self) -> int:
        """Mini-batches that are not final."""
        return len(self._pending) + self._suspects.waiting + self._assigned - len(self._backups)

    @property
    def backups(self) -> BackupCounts:
        """How many backup attempts there were."""
        return self._backups.counts

    @property
    def busy_workers(self) -> int:
        """How many workers hold a mini-batch."""
        return sum(worker.assigned > 0 for worker in self._workers.values())

    def is_final(self, index: int) -> bool:
        return bool(self._owner[index] == FINAL)

    def in_flight(self, at_most: int) -> list[int]:
        """Mini-batches that some rank holds, the first `at_most` of them."""
        return [int(index) for index in np.flatnonzero(self._owner >= 0)[:at_most]]

    def assigned_to(self, rank: int) -> list[int]:
        """What `rank` holds now, in order: for the message about a rank that is gone."""
        return sorted([*np.flatnonzero(self._owner == rank).tolist(), *self._backups.seconds_of(rank)])

    def packet_size(self, rank: int, granted: int) -> int:
        """How many of the mini-batches just granted to `rank` may be handed to its executor at once."""
        return self.window.packet_size(granted, self._workers[rank].mean)

    # -- events

    def start(self) -> list[Action]:
        """Before anything else: a plan of which all is final is finished."""
        return self._actions()

    def on_worker_ready(self, rank: int) -> list[Action]:
        """`rank` can work: its executor has run init()."""
        self._reindex(self._workers.setdefault(rank, WorkerState(rank)))
        return self._actions()

    def on_worker_removed(self, rank: int) -> list[Action]:
        """`rank` has retired: what it holds goes to others and counts as no try."""
        worker = self._workers.get(rank)
        if worker is not None:
            self._leave_pairs(rank)
            self._requeue(rank, np.flatnonzero(self._owner == rank))
            self._remove(worker)
        return self._actions()

    def on_worker_lost(self, rank: int) -> tuple[list[int], list[Action]]:
        """`rank` is gone without a word, and what it held is suspected; those that are convicted are to be given up."""
        worker = self._workers.get(rank)
        if worker is None:
            return [], []
        self._leave_pairs(rank)
        held = np.flatnonzero(self._owner == rank).tolist()
        convicted = self._suspects.suspect(held)
        waiting = sorted(set(held) - set(convicted))
        self._owner[waiting] = REQUEUED
        self._assigned -= len(waiting)
        self._remove(worker)
        return convicted, self._actions()

    def give_up(self, record: np.void) -> list[Action]:
        """A mini-batch that was convicted has failed; record: of ATTEMPT_DTYPE."""
        index = int(record["index"])
        self._suspects.clear(index)
        self._owner[index] = FINAL
        self._assigned -= 1
        self.tally.add_one(record)
        return self._actions()

    def on_returned(self, rank: int, indices: list[int], recalled: bool) -> list[Action]:
        """Given back without a try; `recalled`: the answer to a Recall, maybe empty."""
        worker = self._workers.get(rank)
        if worker is not None:
            if recalled and worker.recalling:
                self._recalling -= 1
                worker.recalling = False
                worker.recall_failed = not indices
            self._requeue(rank, np.asarray(indices, dtype=np.int64))
            self._reindex(worker)
        return self._actions()

    def on_attempts(
        self, records: NDArray[np.void], ranks: NDArray[np.int32] | int
    ) -> tuple[NDArray[np.bool_], list[Action]]:
        """Attempts have ended: all that one look at the ranks has brought.

        records: array of ATTEMPT_DTYPE, in the order in which they came
        ranks:   the rank that each came from, or all
        Returns a mask of those that made their mini-batch final (they belong in the results log), and what to do.
        """
        ranks = np.broadcast_to(np.asarray(ranks, dtype=np.int32), len(records))
        made_final = self._apply_successes(records, ranks)
        for place in np.flatnonzero(~made_final).tolist():
            made_final[place] = self._apply_attempt(int(ranks[place]), records[place])
        actions = self._actions(dict.fromkeys(ranks.tolist()))
        if self._cancels:
            actions, self._cancels = self._cancels + actions, []
        return made_final, actions

    def on_rows_rejected(self, items: int) -> list[Action]:
        """A success that assembly had to refuse (its schema fits no other's): its `items` have failed after all."""
        self.tally.mini_batches_succeeded -= 1
        self.tally.mini_batches_failed += 1
        self.tally.items_succeeded -= items
        self.tally.items_failed += items
        return self._actions()

    def back_up(self, now: float) -> list[Action]:
        """To be asked about once a second: second attempts, by idle workers, of what takes far longer than most.

        now: seconds, of any clock
        """
        if self.policy.backups is None:
            return []
        self._backups.look(now)
        if self._finished or self._draining or self._pending or self._suspects.waiting:
            return []
        spare = max(0, len(self._idle) - self._recalling)  # the others wait for what is recalled
        late = self._backups.due(now, len(self._workers))[:spare]
        grants: list[Action] = []
        for index, rank in zip(late, sorted(self._idle, reverse=True), strict=False):
            self._backups.begin(index, rank)
            self._hold(rank, 1)
            grants.append(Grant(rank, index, 1, int(self._tries[index]) + 1))
        return grants

    def drain(self) -> list[Action]:
        """Nothing is granted any more; Finish follows when nothing is in flight."""
        self._draining = True
        return self._actions()

    # -- state

    def _remove(self, worker: WorkerState) -> None:
        self._recalling -= worker.recalling
        del self._workers[worker.rank]
        self._idle.discard(worker.rank)
        self._recall_candidates.put(worker, 0)

    def _apply_successes(self, records: NDArray[np.void], ranks: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Takes those that succeeded, as arrays, where there are enough of them; a mask of what was taken."""
        index = records["index"]
        if len(records) < VECTORIZE_FROM or self._backups or repeats(index):
            return np.zeros(len(records), dtype=bool)
        good: NDArray[np.bool_] = (self._owner[index] == ranks) & (records["cause"] == SUCCEEDED)
        if not good.any():
            return good
        records, ranks, index = records[good], ranks[good], index[good]
        for cleared in index.tolist() if self._suspects else ():
            self._suspects.clear(cleared)
        self._owner[index] = FINAL
        self.tally.add(records)
        seconds = (records["load"] + records["run"] + records["encode"]).astype(np.float64)
        firsts = np.concatenate(([0], np.flatnonzero(np.diff(ranks)) + 1))  # of what came from one rank
        counts = np.diff(firsts, append=len(ranks))
        sums, longest = np.add.reduceat(seconds, firsts), np.maximum.reduceat(seconds, firsts)
        for rank, *of_rank in zip(*(part.tolist() for part in (ranks[firsts], sums, counts, longest)), strict=True):
            self._hold(rank, -of_rank[1])
            self._observe(rank, *of_rank)
        return good

    def _apply_attempt(self, rank: int, record: np.void) -> bool:
        """The same for one record: long mini-batches come one by one, and arrays of one cost five times as much."""
        index = int(record["index"])
        if self._backups and self._end_pair(rank, index, succeeded=record["cause"] == SUCCEEDED):
            return False
        if self._owner[index] != rank:
            self.duplicates += 1
            return False
        self._suspects.clear(index)
        final = record["cause"] == SUCCEEDED or record["flags"] & ISOLATED != 0 or not self._may_retry(record)
        self._owner[index] = FINAL if final else REQUEUED
        self._hold(rank, -1)
        if final:
            self.tally.add_one(record)
        else:
            self._pending.put_back(index)
        seconds = float(record["load"]) + float(record["run"]) + float(record["encode"])
        good = bool(record["cause"] == SUCCEEDED)  # one that fails at once says nothing of others
        self._observe(rank, seconds * good, int(good), seconds)
        return bool(final)

    def _observe(self, rank: int, seconds: float, count: int, longest: float) -> None:
        self.window.observe(seconds, count, longest)
        if (worker := self._workers.get(rank)) is not None:
            worker.mean.observe(seconds, count)
        if self.policy.backups is not None and count:
            self._backups.observe(seconds / count, count)

    def _end_pair(self, rank: int, index: int, succeeded: bool) -> bool:
        """An attempt has ended: whether another one of its mini-batch is to be waited for in its place."""
        other = self._backups.other(rank, index)
        if other is None:
            return False
        if succeeded:
            self._backups.win(rank, index)
            self._cancels.append(Cancel(other, index))
        else:
            self._backups.leave(rank, index)
        self._hold(other if succeeded else rank, -1)
        return not succeeded

    def _leave_pairs(self, rank: int) -> None:
        for index in self._backups.pairs_of(rank):
            self._end_pair(rank, index, succeeded=False)

    def _may_retry(self, record: np.void) -> bool:
        """Whether a failed attempt leaves its mini-batch a further try (or its isolation)."""
        index, cause = int(record["index"]), int(record["cause"])
        if cause == AttemptOutcome.LOST_RANK:
            return True
        self._tries[index] += 1
        if self._tries[index] < self.policy.run_max_try:
            return True
        if self.policy.isolate_failures and cause != AttemptOutcome.LOAD_ERROR and record["items"] > 1:
            self._pending.isolate_items[index] = int(record["items"])
            return True
        return False

    def _requeue(self, rank: int, indices: NDArray[np.int64]) -> None:
        if self._backups:
            indices = indices[[not self._end_pair(rank, index, succeeded=False) for index in indices.tolist()]]
        indices = np.unique(indices[self._owner[indices] == rank])
        self._owner[indices] = REQUEUED
        self._hold(rank, -len(indices))
        for index in indices.tolist():
            if index in self._suspects:
                self._suspects.put_back(index)
            else:
                self._pending.put_back(index)

    def _hold(self, rank: int, more: int) -> None:
        """`rank` holds so many more than before, or fewer."""
        self._assigned += more
        worker = self._workers.get(rank)
        if worker is not None:
            worker.assigned += more
            worker.recall_failed = worker.recall_failed and not more
            self._reindex(worker)

    def _reindex(self, worker: WorkerState) -> None:
        """Keeps the two sets that make a decision cheap however many workers there are."""
        (self._idle.discard if worker.assigned or worker.recalling else self._idle.add)(worker.rank)
        worker.alone = worker.alone and worker.assigned > 0
        recallable = worker.assigned >= 2 and not worker.recalling and not worker.recall_failed
        self._recall_candidates.put(worker, worker.assigned if recallable else 0)

    # -- decisions

    def _actions(self, ranks: Iterable[int] = ()) -> list[Action]:
        """What follows from the state now. Only `ranks`, whose event this was, and idle workers can need anything."""
        if self._finished:
            return []
        reason = self.tally.exceeded(self.policy.thresholds)
        if reason is not None:
            self._finished = True
            return [Abort(reason)]
        if self.remaining == 0 or (self._draining and not self._assigned):
            self._finished = True
            return [Finish()]
        if self._draining:
            return []
        grants: list[Action] = []
        for rank in ranks if self._pending else ():
            grants += self._fill(rank)
        for rank in sorted(islice(self._idle, len(self._pending))):
            grants += self._fill(rank)
        return grants if self._pending else grants + self._grant_suspects() + self._recalls()

    def _fill(self, rank: int) -> list[Action]:
        worker = self._workers.get(rank)
        if worker is None:
            return []
        size = self.window.grant_size(len(self._pending), len(self._workers), worker.mean)
        if not self._pending or worker.recalling or worker.alone or worker.assigned > size // 2:
            return []
        grants: list[Action] = []
        room = size - worker.assigned
        while room > 0 and self._pending:
            grant = self._pending.take(rank, room)
            self._owner[grant.first : grant.first + grant.count] = rank
            self._hold(rank, grant.count)
            room -= grant.count
            grants.append(grant)
        return grants

    def _grant_suspects(self) -> list[Action]:
        """To idle workers, one each. Rank 0 gets none where others can: the run goes on when they die."""
        grants: list[Action] = []
        while self._suspects.may_start(len(self._workers)):
            rank = max(self._idle, default=0)
            worker = self._workers.get(rank)
            if rank not in self._idle or worker is None or (rank == 0 and len(self._workers) > 1):
                break
            index = self._suspects.take()
            isolate_items, tries = self._pending.isolate_items.get(index, 0), int(self._tries[index])
            self._owner[index], worker.alone = rank, True
            self._hold(rank, 1)
            grants.append(Grant(rank, index, 1, tries if isolate_items else tries + 1, isolate_items, alone=True))
        return grants

    def _recalls(self) -> list[Action]:
        """With nothing left to grant, idle workers take over what others hold and have not begun."""
        wanted = len(self._idle) - self._recalling
        if wanted <= 0 or not self._recall_candidates:
            return []
        actions: list[Action] = []
        while self._recall_candidates and len(actions) < wanted:
            worker = self._workers[self._recall_candidates.most()]
            worker.recalling = True
            self._recalling += 1
            self._reindex(worker)
            actions.append(Recall(worker.rank, worker.assigned // 2))
        return actions
