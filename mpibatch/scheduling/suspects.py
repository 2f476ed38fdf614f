"""Mini-batches that may have ended their rank: they run last, each alone on its rank, until one is convicted.

    a rank is lost      --> what it held is suspected; a suspect that it held alone is charged
    the whole job died  --> what was in flight is suspected; a suspect that was all that was in flight is charged
    CHARGES_TO_FAIL     --> it has failed, cause lost_rank

What was merely in flight at outages, however many there were, is never charged: only a death under it alone counts.
Where the whole job dies again and again without a result, fewer suspects run at a time, half as many with each death:
one of them may be why, and alone it is found.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

CHARGES_TO_FAIL = 3


@dataclass(frozen=True, slots=True)
class Suspicion:
    """charges: deaths of its rank under it alone; job_deaths: of the whole job, before anything was done,
    while it was in flight."""

    charges: int = 0
    job_deaths: int = 0


def after_lost_rank(
    known: Mapping[int, Suspicion], held: Iterable[int], alone: frozenset[int] | set[int]
) -> dict[int, Suspicion]:
    """What is suspected of what a lost rank held. alone: mini-batches that were granted as suspects."""
    found = {index: known.get(index, Suspicion()) for index in held}
    for index in found.keys() & alone if len(found) == 1 else ():
        found[index] = replace(found[index], charges=found[index].charges + 1)
    return found


def after_job_death(
    known: Mapping[int, Suspicion], in_flight: Iterable[int], alone: frozenset[int] | set[int], fruitless: bool
) -> dict[int, Suspicion]:
    """The same for all that was in flight when the whole job died. fruitless: before anything was done."""
    found = after_lost_rank(known, in_flight, alone)
    return {index: replace(one, job_deaths=one.job_deaths + fruitless) for index, one in found.items()}


class Suspects:
    """Those of one run that are not final. waiting: how many are held by nobody."""

    def __init__(self, known: Mapping[int, Suspicion]) -> None:
        self._known = dict(known)
        self._waiting = sorted(self._known)
        self._alone: set[int] = set()  # held by a rank, alone

    def __contains__(self, index: object) -> bool:
        return index in self._known

    def __bool__(self) -> bool:
        return bool(self._known)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def may_start(self, workers: int) -> bool:
        """Whether one more may run now. workers: how many there are."""
        if not self._waiting:
            return False
        job_deaths = max(self._known[index].job_deaths for index in (self._waiting[0], *self._alone))
        return len(self._alone) < max(1, workers >> job_deaths)

    def take(self) -> int:
        """The next, which a rank gets alone."""
        index = heapq.heappop(self._waiting)
        self._alone.add(index)
        return index

    def put_back(self, index: int) -> None:
        """It was held, and waits again."""
        self._alone.discard(index)
        heapq.heappush(self._waiting, index)

    def suspect(self, held: Iterable[int]) -> list[int]:
        """A lost rank held these, and they wait again; those that are convicted instead."""
        found = after_lost_rank(self._known, held, self._alone)
        self._known.update(found)
        convicted = [index for index, one in found.items() if one.charges >= CHARGES_TO_FAIL]
        for index in found.keys() - convicted:
            self.put_back(index)
        return convicted

    def clear(self, index: int) -> None:
        """An attempt of it has ended: it has not ended its rank."""
        if self._known.pop(index, None) is not None:
            self._alone.discard(index)
