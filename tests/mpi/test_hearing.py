"""Who counts as silent: never somebody of whom nothing could be heard because we ourselves stood still."""

from hypothesis import given
from hypothesis import strategies as st

from mpibatch.mpi.hearing import GAP_SECONDS, Hearing


class Clock:
    """Stands still until it is set forward."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_who_says_nothing_for_long_is_silent_until_heard() -> None:
    clock = Clock()
    hearing = Hearing([1, 2], clock)
    silent = []
    for _ in range(10):
        clock.now += 1.0
        hearing.heard(2)
        silent.append(hearing.silent(5.0))
    assert silent == [[]] * 5 + [[1]] * 5
    hearing.heard(1)
    assert hearing.silent(5.0) == []


def test_who_was_forgotten_is_not_missed() -> None:
    clock = Clock()
    hearing = Hearing([1, 2], clock)
    hearing.forget(1)
    hearing.heard(1)  # a late word from a rank that was given up
    for _ in range(10):
        clock.now += 1.0
        silent = hearing.silent(5.0)
    assert silent == [2]


@given(st.lists(st.floats(0.01, 100.0), max_size=30))
def test_a_gap_in_our_own_time_is_no_silence(steps: list[float]) -> None:
    """Only the time in which we asked often counts against the others."""
    clock = Clock()
    hearing = Hearing([1], clock)
    attentive = 0.0
    for step in steps:
        clock.now += step
        attentive += step if step <= GAP_SECONDS else 0.0
        assert (hearing.silent(10.0) == [1]) == (attentive > 10.0 + 1e-9) or abs(attentive - 10.0) < 1e-6
