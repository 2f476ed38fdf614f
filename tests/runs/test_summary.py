"""How a run ended is read in one place, and told to the shell in one way."""

import pytest

from mpibatch.errors import AbortError, ExitStatus, RunDirectoryError, StoppedEarly
from mpibatch.runs.directory import create_at
from mpibatch.runs.summary import MiniBatchCounts, RunState, Summary, is_complete
from tests.runs.records import ended_run


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (RunState.COMPLETED, ExitStatus.COMPLETE),
        (RunState.ABORTED, ExitStatus.ABORTED),
        (RunState.STOPPED, ExitStatus.STOPPED),
        (RunState.RUNNING, ExitStatus.STOPPED),
    ],
)
def test_each_state_has_its_exit_status(state: RunState, status: ExitStatus) -> None:
    assert state.exit_status is status


def test_what_ended_a_run_says_how_it_ended() -> None:
    assert RunState.of(None) is RunState.COMPLETED
    assert RunState.of(AbortError("too many")) is RunState.ABORTED
    assert RunState.of(StoppedEarly("a signal")) is RunState.STOPPED
    assert RunState.of(RunDirectoryError("full")) is RunState.STOPPED


def test_a_summary_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = create_at(tmp_path_factory.mktemp("run"))
    assert Summary.read(directory) is Summary.read_status(directory) is None
    summary = ended_run("completed", output="outputs/rows.txt", in_flight=(3, 4))
    summary.write(directory)
    assert Summary.read(directory) == summary
    assert is_complete(directory)
    summary.write_status(directory)
    assert Summary.read_status(directory) == summary


def test_a_damaged_summary_is_no_end(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A run is not taken for complete by half a file: a crash of the machine may leave one."""
    directory = create_at(tmp_path_factory.mktemp("run"))
    for text in ("", "{"):
        directory.summary.write_text(text)
        assert not is_complete(directory)
    for text in ("{}", '{"status": "finished"}'):
        directory.summary.write_text(text)
        with pytest.raises(RunDirectoryError, match=r"summary\.json"):
            is_complete(directory)


def test_progress_in_a_line() -> None:
    counts = MiniBatchCounts(total=500, succeeded=117, failed=3, remaining=380)
    assert ended_run("running", mini_batches=counts).progress_line == "120 of 500 mini-batches done, 3 of them failed"
    assert ended_run("running").progress_line == "2 of 2 mini-batches done"
