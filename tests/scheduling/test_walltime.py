"""What may still be begun before the allocation ends."""

from mpibatch.scheduling.walltime import Walltime

MARGIN_SECONDS = 10.0


def test_without_an_end_everything_may_begin() -> None:
    walltime = Walltime(None, lambda: 1e12, MARGIN_SECONDS)
    assert walltime.left() is None
    assert walltime.allows(1e9)


def test_what_would_not_finish_is_not_begun() -> None:
    walltime = Walltime(1000.0, lambda: 900.0, MARGIN_SECONDS)
    left = 100.0 - MARGIN_SECONDS
    assert walltime.left() == left
    assert walltime.allows(left / 2)
    assert not walltime.allows(left + 1)
    assert not Walltime(1000.0, lambda: 1000.0 - MARGIN_SECONDS / 2, MARGIN_SECONDS).allows(0.0)


def test_what_takes_a_little_longer_than_the_longest_of_late_still_finishes() -> None:
    """Else two of two ranks were ended in the midst of 0.4 s, where a busy machine made 0.45 s of them."""
    for longest in (0.4, 60.0):
        begun_with = next(left for left in (0.1 * tenth for tenth in range(9000)) if at(left).allows(longest))
        assert begun_with > longest * 1.1 + 1.9


def at(left: float) -> Walltime:
    return Walltime(1000.0, lambda: 1000.0 - MARGIN_SECONDS - left, MARGIN_SECONDS)
