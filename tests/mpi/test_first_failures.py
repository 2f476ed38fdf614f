"""When a run that fails from its start is given up, and above all when it is not."""

from mpibatch.attempts import AttemptOutcome, Failure
from mpibatch.mpi.first_failures import TOLERANT_MINI_BATCHES, FirstFailures

RAISED = 'Traceback (most recent call last):\n  File "/job/score.py", line 3, in run\n    1 / 0\n'
FAILED, DONE = AttemptOutcome.USER_ERROR, AttemptOutcome.SUCCEEDED


def failure(error: str = "ZeroDivisionError: by zero", rank: int = 0, cause: str = "user_error") -> Failure:
    return Failure(cause, error, RAISED, rank=rank)


def fail(judge: FirstFailures, rank: int, index: int, error: str = "ZeroDivisionError: by zero") -> str | None:
    return judge.on_attempts(rank, [(index, FAILED)], [failure(error)])


def test_init_that_fails_everywhere() -> None:
    """After the first try of each rank; a number in the text may be the rank's own."""
    judge = FirstFailures(range(3), error_threshold=100)
    assert judge.on_start_failed(failure("no device 0", 0)) is None
    assert judge.on_start_failed(failure("no device 0", 0)) is None, "the same rank again is no further evidence"
    assert judge.on_start_failed(failure("no device 1", 1)) is None
    assert judge.on_start_failed(failure("no device 2", 2)) == "init() failed on all of 3 ranks by the same error"


def test_init_that_works_somewhere_or_fails_otherwise() -> None:
    """A bad node retires as ever, and the others go on."""
    judge = FirstFailures(range(2), error_threshold=0)
    judge.on_ready()
    assert [judge.on_start_failed(failure(rank=rank)) for rank in (0, 1)] == [None, None]
    judge = FirstFailures(range(2), error_threshold=0)
    assert [judge.on_start_failed(failure(f"error {'ab'[rank]}", rank)) for rank in (0, 1)] == [None, None]
    assert judge.on_start_failed(failure("error b", 0)) is None


def test_a_lost_rank_is_not_waited_for() -> None:
    judge = FirstFailures(range(3), error_threshold=0)
    judge.on_lost(2)
    assert fail(judge, 0, 0) is None
    assert fail(judge, 1, 1) is not None


def test_run_that_fails_everywhere() -> None:
    judge = FirstFailures(range(2), error_threshold=0)
    assert fail(judge, 0, 0) is None
    assert fail(judge, 0, 0) is None
    assert fail(judge, 1, 1) == (
        "run() failed on all of 2 ranks by the same error, and never came back: 2 mini-batches were tried"
    )


def test_bad_files_at_the_start_that_are_tolerated() -> None:
    """The first sixteen by the very same error are a broken script; texts that differ may be data."""
    judge = FirstFailures(range(2), error_threshold=100)
    assert [fail(judge, index % 2, index) for index in range(TOLERANT_MINI_BATCHES - 1)] == [None] * 15
    assert fail(judge, 1, TOLERANT_MINI_BATCHES) is not None
    judge = FirstFailures(range(2), error_threshold=100)
    assert {fail(judge, index % 2, index, f"bad file {index}") for index in range(100)} == {None}


def test_one_success_is_enough() -> None:
    judge = FirstFailures(range(2), error_threshold=0)
    assert judge.on_attempts(0, [(0, DONE)], []) is None
    assert not judge.judges_run
    assert [fail(judge, rank, rank) for rank in (0, 1)] == [None, None]


def test_data_that_cannot_be_loaded_is_no_fault_of_the_script() -> None:
    judge = FirstFailures(range(2), error_threshold=0)
    outcome = AttemptOutcome.LOAD_ERROR
    assert [judge.on_attempts(rank, [(rank, outcome)], [failure()]) for rank in (0, 1)] == [None, None]


def test_one_rank_is_no_evidence() -> None:
    judge = FirstFailures([0], error_threshold=0)
    assert judge.on_start_failed(failure()) is None
    assert fail(judge, 0, 0) is None


def test_who_never_wants_to_give_up_gets_everything_tried() -> None:
    """error_threshold: -1. But where no init() comes back there is nothing to try with."""
    judge = FirstFailures(range(2), error_threshold=-1)
    assert {fail(judge, index % 2, index) for index in range(100)} == {None}
    assert [judge.on_start_failed(failure("no device", rank)) is None for rank in (0, 1)] == [True, False]
