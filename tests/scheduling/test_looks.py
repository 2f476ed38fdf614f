"""What one look at the ranks has brought is judged together, as it would be one message after the other."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.scheduling.actions import Action, Finish, Grant, Recall
from mpibatch.scheduling.scheduler import Scheduler
from tests.scheduling.attempts import Attempt, failed, records
from tests.scheduling.policies import policy_with


class Ranks:
    """What each holds; a recall is answered at once, with what it was granted last."""

    def __init__(self, total: int, ranks: int) -> None:
        self.scheduler = Scheduler(total, policy_with(run_max_try=2, error_threshold=-1))
        self.held: dict[int, list[int]] = {rank: [] for rank in range(ranks)}
        self.finished = False
        for rank in range(ranks):
            self.act(self.scheduler.on_worker_ready(rank))

    def act(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Grant):
                self.held[action.rank] += range(action.first, action.first + action.count)
            elif isinstance(action, Recall):
                given = self.held[action.rank][1:][-action.count :]
                self.held[action.rank] = [index for index in self.held[action.rank] if index not in given]
                self.act(self.scheduler.on_returned(action.rank, given, recalled=True))
            else:
                assert isinstance(action, Finish)
                self.finished = True


@given(st.integers(0, 1 << 30), st.integers(1, 60), st.integers(1, 5))
def test_all_is_done_once_whatever_comes_together(seed: int, total: int, ranks: int) -> None:
    choice = random.Random(seed)
    run = Ranks(total, ranks)
    final: list[int] = []
    fails = set(choice.sample(range(total), choice.randint(0, total)))
    failures = 0
    while not run.finished:
        idle = [rank for rank, held in run.held.items() if not held]
        assert not idle or sum(map(len, run.held.values())) <= ranks, "one idles though others hold what is not begun"
        ended: list[tuple[int, Attempt]] = []
        for rank, held in run.held.items():
            count = choice.randint(0, len(held))
            ended += [(rank, failed(index) if index in fails else Attempt(index)) for index in held[:count]]
            del held[:count]
        if not ended:
            continue
        attempts = records([attempt for _, attempt in ended])
        made_final, actions = run.scheduler.on_attempts(attempts, np.array([rank for rank, _ in ended], dtype=np.int32))
        final += attempts["index"][made_final].tolist()
        failures += int((attempts["succeeded"] == 0).sum())
        run.act(actions)
    assert sorted(final) == list(range(total))
    assert failures == 2 * len(fails)
    assert run.scheduler.tally.mini_batches_succeeded == total - len(fails)
    assert run.scheduler.tally.mini_batches_failed == len(fails)
    assert run.scheduler.duplicates == 0


@given(st.integers(5, 40))
def test_what_comes_from_another_rank_than_its_owner_counts_for_nothing(total: int) -> None:
    run = Ranks(total, 2)
    ours, theirs = run.held[0], run.held[1]
    attempts = records([Attempt(index) for index in [*ours, *theirs]])
    made_final, _ = run.scheduler.on_attempts(attempts, 0)
    assert attempts["index"][made_final].tolist() == ours
    assert run.scheduler.duplicates == len(theirs)
    assert run.scheduler.tally.mini_batches_succeeded == len(ours)
