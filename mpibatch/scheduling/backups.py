"""Backup attempts: what takes far longer than most is begun a second time, on a worker that has nothing else to do.

After MapReduce (Dean and Ghemawat, 2004): at the end of a run a busy node, a slow disk or a call that hangs keeps one
mini-batch, and all other workers wait for it.

    seconds of successes --observe--> median --+
    owner[], time --look--> since when --------+--due--> begin: a pair of attempts, that of `owner` and the second
                                                           win:   one has succeeded, is the owner, the other cancelled
                                                           leave: one came to nothing, the other is the owner

`owner` and `tries` are the scheduler's own arrays. Time is handed in, by any clock that goes on.
"""

from collections import deque
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RECENT = 256  # messages whose successes the median is of


@dataclass(frozen=True, slots=True)
class BackupPolicy:
    """times, least_seconds: a mini-batch is late after so many times the median, and never before so many seconds
    successes: how many there must be, that the median says something
    workers_each: one backup runs at a time for so many workers, and one in any case
    """

    times: float = 3.0
    least_seconds: float = 5.0
    successes: int = 10
    workers_each: int = 10


@dataclass(slots=True)
class BackupCounts:
    """begun: backup attempts; won: those that succeeded while the first attempt still ran."""

    begun: int = 0
    won: int = 0


class Backups:
    """Of one run. True while any pair runs.

    policy: None where the job wants none
    never:  mini-batches that get none
    """

    def __init__(
        self,
        policy: BackupPolicy | None,
        owner: NDArray[np.int32],
        tries: NDArray[np.uint8],
        never: Sequence[Container[int]] = (),
    ) -> None:
        self.policy = policy
        self.counts = BackupCounts()
        self._owner = owner
        self._tries = tries
        self._never = never
        self._second: dict[int, int] = {}  # the other rank of a pair, by mini-batch
        self._had: set[tuple[int, int]] = set()  # mini-batches and tries that have had their backup
        self._since: dict[tuple[int, int, int], float] = {}  # mini-batch, rank, tries: what each worker is at
        self._seconds: deque[float] = deque(maxlen=RECENT)
        self._successes = 0

    def __bool__(self) -> bool:
        return bool(self._second)

    def __len__(self) -> int:
        return len(self._second)

    def observe(self, seconds: float, count: int) -> None:
        """`count` mini-batches, which came in one message, have taken so long each."""
        self._seconds.append(seconds)
        self._successes += count

    def look(self, now: float) -> None:
        """Notes what each worker is at: the first that it holds, since later ones are granted in order, if not retried.

        A retried one that waits may pass for the one at work: its backup is then of no use, and does no harm.
        """
        held = np.flatnonzero(self._owner >= 0)
        ranks, first = np.unique(self._owner[held], return_index=True)
        at = held[first]
        keys = zip(at.tolist(), ranks.tolist(), self._tries[at].tolist(), strict=True)
        self._since = {key: self._since.get(key, now) for key in keys}

    def due(self, now: float, workers: int) -> list[int]:
        """Mini-batches that are to get one now, those at work for longest first: at most one backup a try."""
        policy = self.policy
        if policy is None or self._successes < policy.successes:
            return []
        limit = max(policy.least_seconds, policy.times * float(np.median(self._seconds)))
        late = sorted(
            (since, index)
            for (index, _, tries), since in self._since.items()
            if now - since > limit
            and (index, tries) not in self._had
            and not any(index in not_ for not_ in self._never)
        )
        room = max(1, workers // policy.workers_each) - len(self._second)
        return [index for _, index in late[: max(0, room)]]

    def begin(self, index: int, rank: int) -> None:
        """`rank` runs it too."""
        self._second[index] = rank
        self._had.add((index, int(self._tries[index])))
        self.counts.begun += 1

    def other(self, rank: int, index: int) -> int | None:
        """The rank that runs `index` beside `rank`; None where these are no pair."""
        second = self._second.get(index)
        if second is None or rank not in (pair := (int(self._owner[index]), second)):
            return None
        return pair[rank == pair[0]]

    def win(self, rank: int, index: int) -> None:
        """The attempt of `rank`, one of a pair, has succeeded: it alone counts."""
        self.counts.won += rank == self._second.pop(index)
        self._owner[index] = rank

    def leave(self, rank: int, index: int) -> None:
        """The attempt of `rank`, one of a pair, has come to nothing: the other one counts."""
        second = self._second.pop(index)
        if second != rank:
            self._owner[index] = second

    def pairs_of(self, rank: int) -> list[int]:
        """Mini-batches that `rank` and another run."""
        return [index for index in self._second if self.other(rank, index) is not None]

    def seconds_of(self, rank: int) -> list[int]:
        """Mini-batches of which `rank` runs the backup."""
        return [index for index, second in self._second.items() if second == rank]
