"""A mini-batch that ends its rank fails in the end, healthy ones beside it are done, and an outage fails nothing."""

import numpy as np

from mpibatch.attempts import AttemptOutcome
from mpibatch.runs.in_flight import GRANT_DTYPE, InFlight
from mpibatch.scheduling.actions import Action, Finish, Grant, Recall
from mpibatch.scheduling.scheduler import Scheduler
from mpibatch.scheduling.suspects import CHARGES_TO_FAIL, Suspicion
from tests.scheduling.attempts import Attempt, records
from tests.scheduling.policies import policy_with


class Ranks:
    """Ranks that run what they are granted; those that run a killer die, and are started again where all are dead."""

    def __init__(self, total: int, ranks: int, killers: set[int]) -> None:
        self.total, self.killers = total, killers
        self.ranks = ranks
        self.done: list[int] = []
        self.deaths = 0
        self.given_up: list[int] = []
        self.held: dict[int, list[Grant]] = {}

    def run(self, suspects: dict[int, Suspicion] | None = None) -> None:
        scheduler = Scheduler(self.total, policy_with(error_threshold=-1), None, suspects)
        self.held = {rank: [] for rank in range(self.ranks)}
        self.scheduler = scheduler
        self.act(scheduler.start())
        for rank in self.held:
            self.act(scheduler.on_worker_ready(rank))
        while not self.finished:
            rank = next(rank for rank, grants in self.held.items() if grants)
            grant = self.held[rank].pop(0)
            numbers = list(range(grant.first, grant.first + grant.count))
            killer = next((number for number in numbers if number in self.killers), None)
            ended = numbers if killer is None else numbers[: numbers.index(killer)]
            self.done += ended
            if ended:
                self.act(scheduler.on_attempts(records([Attempt(number) for number in ended]), rank)[1])
            if killer is not None:
                self.die(scheduler, rank)

    def die(self, scheduler: Scheduler, rank: int) -> None:
        """A rank; rank 0 is one that can die like others here."""
        self.deaths += 1
        del self.held[rank]
        convicted, actions = scheduler.on_worker_lost(rank)
        for index in convicted:
            self.given_up.append(index)
            self.act(scheduler.give_up(records([Attempt(index, AttemptOutcome.LOST_RANK, 1, 0)])[0]))
        self.act(actions)
        new = max([*self.held, rank]) + 1
        self.held[new] = []
        self.act(scheduler.on_worker_ready(new))

    finished = False

    def act(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Grant):
                assert not action.alone or not self.held[action.rank], "alone on its rank"
                self.held[action.rank].append(action)
            if isinstance(action, Recall):
                self.act(self.scheduler.on_returned(action.rank, [], recalled=True))
            self.finished |= isinstance(action, Finish)


def test_a_killer_fails_and_all_others_are_done() -> None:
    """It was granted again for ever, first of all."""
    run = Ranks(total=50, ranks=3, killers={7, 8, 30})
    run.run()
    assert sorted(run.given_up) == [7, 8, 30]
    assert sorted(run.done) == [index for index in range(50) if index not in run.killers]
    assert run.deaths <= 3 + 3 * CHARGES_TO_FAIL


def test_suspects_run_last() -> None:
    run = Ranks(total=20, ranks=2, killers=set())
    run.run(suspects={3: Suspicion(charges=2), 4: Suspicion()})
    assert sorted(run.done) == list(range(20))
    assert sorted(run.done[-2:]) == [3, 4]


def grants(*entries: tuple[int, int, int, int]) -> "np.ndarray[tuple[int], np.dtype[np.void]]":
    """(rank, alone, first, count) each."""
    return np.array(list(entries), dtype=GRANT_DTYPE)


def test_what_was_merely_in_flight_at_outages_is_never_charged() -> None:
    """A mini-batch of six hours on each of a thousand ranks, and ten outages."""
    found = InFlight(2000)
    for _ in range(10):
        found.granted(grants(*((rank, rank in found.suspects, rank, 1) for rank in range(1000))))
        found.died()
    assert len(found.suspects) == 1000
    assert all(one.charges == 0 for one in found.suspects.values())
    found = InFlight(2000)
    for number in range(10):
        found.granted(grants((0, 0, number, 1), (1, 1, 1000, 1), (2, 1, 1001, 1)))
        found.ended_attempts(np.array([number]))
        found.died()
    assert set(found.suspects.values()) == {Suspicion()}, "things go on: all may run at a time"


def test_after_deaths_of_the_whole_job_fewer_run_at_a_time() -> None:
    """Without ULFM one death is that of all: which one it was is found by halving."""
    for deaths, at_once in ((0, 8), (1, 4), (2, 2), (3, 1), (9, 1)):
        scheduler = Scheduler(8, policy_with(), None, {index: Suspicion(job_deaths=deaths) for index in range(8)})
        granted: list[Action] = []
        for rank in range(1, 9):
            granted += scheduler.on_worker_ready(rank)
        assert len(granted) == at_once


def test_a_death_of_the_job_under_one_suspect_alone_is_charged() -> None:
    found = InFlight(10)
    found.granted(grants((0, 0, 0, 5)))
    found.died()
    for charges in range(1, CHARGES_TO_FAIL + 1):
        found.granted(grants((1, 1, 2, 1)))
        found.died()
        assert found.suspects[2].charges == charges
    assert found.suspects[1] == Suspicion(charges=0, job_deaths=1)
    scheduler = Scheduler(10, policy_with(), None, found.suspects)
    assert scheduler.convicted == [2]


def test_what_has_ended_an_attempt_or_was_given_back_in_order_is_no_suspect() -> None:
    found = InFlight(10)
    found.granted(grants((0, 0, 0, 5), (1, 0, 5, 5)))
    found.ended_attempts(np.array([0, 1, 2]))
    found.lost(0)
    found.ended()
    found.died()
    assert set(found.suspects) == {3, 4}
    found.ended_attempts(np.array([3]))
    found.granted(grants((1, 0, 4, 1)))  # it has failed by itself when it ran alone, and is granted as others are
    assert found.suspects == {}
