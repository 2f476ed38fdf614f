"""What may still be begun before the allocation ends."""

from mpibatch.mpi.walltime import ASSEMBLY_BYTES_PER_SECOND, MARGIN_SECONDS, Walltime


def test_without_an_end_everything_may_begin() -> None:
    walltime = Walltime(None, lambda: 1e12)
    assert walltime.left() is None
    assert walltime.allows(1e9)
    assert walltime.allows_assembly(1 << 60)


def test_what_would_not_finish_is_not_begun() -> None:
    walltime = Walltime(1000.0, lambda: 900.0)
    left = 100.0 - MARGIN_SECONDS
    assert walltime.left() == left
    assert walltime.allows(left - 1)
    assert not walltime.allows(left + 1)
    assert not Walltime(1000.0, lambda: 1000.0 - MARGIN_SECONDS / 2).allows(0.0)


def test_a_large_output_needs_time_to_be_made() -> None:
    walltime = Walltime(1000.0, lambda: 900.0)
    assert walltime.allows_assembly(int(99 * ASSEMBLY_BYTES_PER_SECOND))
    assert not walltime.allows_assembly(int(101 * ASSEMBLY_BYTES_PER_SECOND))
