"""Who is suspected: never somebody of whom nothing could be heard because we ourselves stood still."""

from hypothesis import given
from hypothesis import strategies as st

from mpibatch.liveness.clock import SUSPENSION_SECONDS, AwakeClock
from mpibatch.liveness.failure_detector import FailureDetector


class Clock:
    """Stands still until it is set forward."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_who_says_nothing_for_long_is_suspected_until_a_heartbeat() -> None:
    clock = Clock()
    detector = FailureDetector([1, 2], AwakeClock(clock))
    suspected = []
    for _ in range(10):
        clock.now += 1.0
        detector.heartbeat(2)
        suspected.append(detector.suspected(5.0))
    assert suspected == [[]] * 5 + [[1]] * 5
    detector.heartbeat(1)
    assert detector.suspected(5.0) == []


def test_who_was_removed_is_not_suspected() -> None:
    clock = Clock()
    detector = FailureDetector([1, 2], AwakeClock(clock))
    detector.remove(1)
    detector.heartbeat(1)  # a late word from a rank that was given up
    for _ in range(10):
        clock.now += 1.0
        suspected = detector.suspected(5.0)
    assert suspected == [2]


@given(st.lists(st.floats(0.01, 100.0), max_size=30))
def test_a_gap_in_our_own_time_is_no_silence(steps: list[float]) -> None:
    """Only the time in which we asked often counts against the others."""
    clock = Clock()
    detector = FailureDetector([1], AwakeClock(clock))
    attentive = 0.0
    for step in steps:
        clock.now += step
        attentive += step if step <= SUSPENSION_SECONDS else 0.0
        assert (detector.suspected(10.0) == [1]) == (attentive > 10.0 + 1e-9) or abs(attentive - 10.0) < 1e-6
