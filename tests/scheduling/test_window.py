"""How many mini-batches a worker may hold."""

from hypothesis import given
from hypothesis import strategies as st

from mpibatch.scheduling.scheduler import Policy, Scheduler
from mpibatch.scheduling.thresholds import Limits
from mpibatch.scheduling.window import IN_FLIGHT_SECONDS, LONG_RUNNING, LONGEST_WINDOW, Window
from tests.scheduling.attempts import failed, records

seconds = st.floats(0, 1e5)


@given(st.lists(st.tuples(seconds, st.integers(0, 5000))), st.integers(0, 10**9), st.integers(0, 10**5))
def test_size_is_always_within_bounds(seen: list[tuple[float, int]], pending: int, workers: int) -> None:
    """Whatever was measured, zero seconds and no workers included."""
    window = Window()
    for took, count in seen:
        window.learn(took, count)
    assert LONG_RUNNING <= window.size(pending, workers) <= LONGEST_WINDOW


@given(st.lists(st.tuples(seconds, st.integers(1, 5000)), min_size=1))
def test_the_mean_is_within_what_was_seen(seen: list[tuple[float, int]]) -> None:
    window = Window()
    for took, count in seen:
        window.learn(took, count)
    each = [took / count for took, count in seen]
    assert min(each) * (1 - 1e-9) <= window.mean <= max(each) * (1 + 1e-9) + 1e-12


def test_before_anything_is_known_one_runs_and_one_is_ahead() -> None:
    assert Window().size(10**6, 4) == LONG_RUNNING


def test_long_ones_are_held_one_running_one_ahead() -> None:
    window = Window()
    window.learn(10.0, 1)
    assert window.size(10**6, 4) == LONG_RUNNING


def test_short_ones_fill_the_stretch_in_flight() -> None:
    window = Window()
    window.learn(0.1, 1000)
    assert window.size(10**6, 4) == int(IN_FLIGHT_SECONDS / 1e-4)


def test_near_the_end_the_share_shrinks() -> None:
    window = Window()
    window.learn(0.01, 1000)
    assert window.size(400, 4) == 50
    assert window.size(3, 4) == LONG_RUNNING


def test_it_follows_a_change_of_pace() -> None:
    """Short mini-batches that become long ones: the next grants are small, after a few results and not after all."""
    window = Window()
    window.learn(0.1, 100_000)
    for _ in range(200):
        window.learn(1.0, 1)
    assert window.size(10**6, 4) == LONG_RUNNING


def test_what_fails_at_once_does_not_count_as_short() -> None:
    """Else a worker would be given many long mini-batches on the strength of a few that failed, and retries behind."""
    scheduler = Scheduler(1000, Policy(limits=Limits(-1)))
    scheduler.begin()
    scheduler.joined(0)
    for _ in range(50):
        scheduler.attempts(0, records([failed(index) for index in scheduler.held_by(0)]))
        assert len(scheduler.held_by(0)) <= LONG_RUNNING
