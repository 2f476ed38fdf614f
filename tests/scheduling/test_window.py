"""How many mini-batches a worker may hold."""

from hypothesis import given
from hypothesis import strategies as st

from mpibatch.scheduling.scheduler import Scheduler
from mpibatch.scheduling.window import (
    IN_FLIGHT_SECONDS,
    LONG_RUNNING,
    LONGEST_WINDOW,
    PACKET_SECONDS,
    PACKETS_A_GRANT,
    SHORT_SECONDS,
    GrantWindow,
    MovingMean,
)
from tests.scheduling.attempts import failed, records
from tests.scheduling.policies import policy_with

NOTHING_DONE = MovingMean()  # of a worker that has not done any yet

seconds = st.floats(0, 1e5)


@given(
    st.lists(st.tuples(seconds, st.integers(0, 5000))),
    st.integers(0, 10**9),
    st.integers(0, 10**5),
    st.builds(MovingMean, seconds, st.integers(0, 5000)),
)
def test_size_is_always_within_bounds(
    seen: list[tuple[float, int]], pending: int, workers: int, own: MovingMean
) -> None:
    """Whatever was measured, anywhere or by the worker itself, zero seconds and no workers included."""
    window = GrantWindow()
    for took, count in seen:
        window.observe(took, count)
    size = window.grant_size(pending, workers, own)
    assert LONG_RUNNING <= size <= LONGEST_WINDOW
    assert 1 <= window.packet_size(size, own) <= size


@given(st.lists(st.tuples(seconds, st.integers(1, 5000)), min_size=1))
def test_the_mean_is_within_what_was_seen(seen: list[tuple[float, int]]) -> None:
    window = GrantWindow()
    for took, count in seen:
        window.observe(took, count)
    each = [took / count for took, count in seen]
    assert min(each) * (1 - 1e-9) <= window.anywhere.seconds <= max(each) * (1 + 1e-9) + 1e-12


def test_before_anything_is_known_one_runs_and_one_is_ahead() -> None:
    assert GrantWindow().grant_size(10**6, 4, NOTHING_DONE) == LONG_RUNNING


def test_long_ones_are_held_one_running_one_ahead() -> None:
    window = GrantWindow()
    window.observe(10.0, 1)
    assert window.grant_size(10**6, 4, NOTHING_DONE) == LONG_RUNNING


def test_short_ones_fill_the_stretch_in_flight() -> None:
    window = GrantWindow()
    window.observe(0.1, 1000)
    assert window.grant_size(10**6, 4, NOTHING_DONE) == int(IN_FLIGHT_SECONDS / 1e-4)


def test_near_the_end_the_share_shrinks() -> None:
    window = GrantWindow()
    window.observe(0.01, 1000)
    assert window.grant_size(400, 4, NOTHING_DONE) == 50
    assert window.grant_size(3, 4, NOTHING_DONE) == LONG_RUNNING


def test_a_slow_worker_holds_less() -> None:
    """By its own time a mini-batch, so that the stretch in flight is as long there as elsewhere."""
    window = GrantWindow()
    window.observe(0.1, 1000)
    slow, fast = MovingMean(1e-3, 100), MovingMean(5e-5, 100)
    assert window.grant_size(10**6, 4, slow) == int(IN_FLIGHT_SECONDS / 1e-3)
    assert window.grant_size(10**6, 4, fast) == int(IN_FLIGHT_SECONDS / 5e-5)
    assert window.packet_size(1000, slow) == int(PACKET_SECONDS / 1e-3)
    assert window.grant_size(400, 4, slow) == 5  # of the 50 that a usual one gets near the end


def test_it_follows_a_change_of_pace() -> None:
    """Short mini-batches that become long ones: the next grants are small, after a few results and not after all."""
    window = GrantWindow()
    window.observe(0.1, 100_000)
    for _ in range(200):
        window.observe(1.0, 1)
    assert window.grant_size(10**6, 4, NOTHING_DONE) == LONG_RUNNING


def test_what_fails_at_once_does_not_count_as_short() -> None:
    """Else a worker would be given many long mini-batches on the strength of a few that failed, and retries behind."""
    scheduler = Scheduler(1000, policy_with(error_threshold=-1))
    scheduler.start()
    scheduler.on_worker_ready(0)
    for _ in range(50):
        scheduler.on_attempts(records([failed(index) for index in scheduler.assigned_to(0)]), 0)
        assert len(scheduler.assigned_to(0)) <= LONG_RUNNING


def test_where_nothing_succeeds_failures_tell_how_long_a_mini_batch_takes() -> None:
    """A job in which everything fails at once was held up by a round trip to rank 0 for every other mini-batch."""
    window = GrantWindow()
    for _ in range(1000):
        window.observe(0.0, 0, 0.001)
    assert window.grant_size(10_000, 2, NOTHING_DONE) == 100


def test_short_ones_go_to_the_executor_many_at_a_time() -> None:
    """Never so many that nothing of a grant could be recalled."""
    window = GrantWindow()
    window.observe(1.0, 1000)
    assert window.packet_size(100, NOTHING_DONE) == 20
    assert window.packet_size(20, NOTHING_DONE) == 20 // PACKETS_A_GRANT
    assert window.packet_size(1, NOTHING_DONE) == 1


def test_long_ones_go_to_the_executor_one_by_one() -> None:
    window = GrantWindow()
    assert window.packet_size(100, NOTHING_DONE) == 1  # nothing is known yet
    window.observe(SHORT_SECONDS * 1.01 * 10, 10)
    assert window.packet_size(100, NOTHING_DONE) == 1
