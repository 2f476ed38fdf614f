"""When an allocation ends: from the environment, from squeue, or unknown."""

from subprocess import CompletedProcess, TimeoutExpired

import pytest

from mpibatch.cluster.slurm import Runner, allocation_end, is_requeued


def answering(text: str, asked: list[list[str]] | None = None) -> Runner:
    def call(command: list[str]) -> CompletedProcess[str]:
        if asked is not None:
            asked.append(command)
        return CompletedProcess(command, 0, text, "")

    return call


def failing(error: Exception) -> Runner:
    def call(command: list[str]) -> CompletedProcess[str]:
        raise error

    return call


def test_outside_slurm_nobody_is_asked() -> None:
    assert allocation_end({}, failing(AssertionError("asked"))) is None


def test_slurm_says_it_in_the_environment() -> None:
    env = {"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "1795359154"}
    assert allocation_end(env, failing(AssertionError("asked"))) == 1795359154.0


def test_squeue_is_asked_for_seconds_of_this_job() -> None:
    asked: list[list[str]] = []
    assert allocation_end({"SLURM_JOB_ID": "7"}, answering("1795359154\n", asked)) == 1795359154.0
    assert asked == [["env", "SLURM_TIME_FORMAT=%s", "squeue", "--noheader", "--jobs=7", "--format=%e"]]


@pytest.mark.parametrize("answer", ["", "NONE\n", "N/A\n", "0\n", "2026-11-22T14:51:55\n"])
def test_what_is_no_time_is_unknown(answer: str) -> None:
    assert allocation_end({"SLURM_JOB_ID": "7"}, answering(answer)) is None
    assert allocation_end({"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": answer}, answering(answer)) is None


@pytest.mark.parametrize("error", [FileNotFoundError("env"), TimeoutExpired("squeue", 120)])
def test_a_slurm_that_does_not_answer_is_no_error(error: Exception) -> None:
    assert allocation_end({"SLURM_JOB_ID": "7"}, failing(error)) is None


def test_a_job_that_was_started_again() -> None:
    assert is_requeued({"SLURM_RESTART_COUNT": "2"})
    assert not is_requeued({"SLURM_RESTART_COUNT": "0"})
    assert not is_requeued({})
