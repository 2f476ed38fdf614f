"""Which failures count as tries, and how few executors a job starts in which everything fails."""

import pytest

from mpibatch.config.choices import ExecutorRestart
from mpibatch.worker.restart_policy import RestartPolicy


class Process:
    """A worker in miniature: its policy, and how many executors it has started beyond the first."""

    def __init__(self, setting: ExecutorRestart, start_seconds: float = 0.2) -> None:
        self.now = 0.0
        self.start_seconds = start_seconds
        self.policy = RestartPolicy(setting, lambda: self.now)
        self.replaced = -1
        self._start()

    def _start(self) -> None:
        self.policy.on_start()
        self.now += self.start_seconds
        self.policy.on_ready(self.start_seconds)
        self.replaced += 1

    def run(self, index: int, succeeded: bool) -> bool:
        """Whether the attempt counts."""
        counts = self.policy.on_attempt(index, succeeded)
        if self.policy.replace_due:
            self._start()
        return counts


def test_each_failure_replaces_the_executor_where_that_is_cheap() -> None:
    """No retry meets the process that failed it, and what comes next does not either."""
    process = Process(ExecutorRestart.AUTO)
    for index in range(10):
        assert process.run(index, succeeded=False)
        assert process.run(100 + index, succeeded=True)
    assert process.replaced == 10


def test_one_failure_does_not_replace_an_executor_that_takes_long_to_start() -> None:
    process = Process(ExecutorRestart.AUTO, start_seconds=300)
    assert process.run(1, succeeded=False)
    assert process.replaced == 0


@pytest.mark.parametrize("setting", [ExecutorRestart.ON_REPEATED_FAILURE, ExecutorRestart.AUTO])
def test_the_next_mini_batch_that_fails_in_a_spoiled_process_is_not_charged(setting: ExecutorRestart) -> None:
    process = Process(setting, start_seconds=300)
    assert process.run(1, succeeded=False)
    assert not process.run(2, succeeded=False)
    assert process.replaced == 1
    assert process.run(2, succeeded=True)


def test_a_failure_that_repeats_in_the_new_process_counts() -> None:
    process = Process(ExecutorRestart.ON_REPEATED_FAILURE)
    process.run(1, succeeded=False)
    process.run(2, succeeded=False)
    assert process.run(2, succeeded=False)


def test_never_charges_each_failure_and_replaces_nothing() -> None:
    process = Process(ExecutorRestart.NEVER)
    assert all(process.run(index, succeeded=False) for index in range(1000))
    assert process.replaced == 0


@pytest.mark.parametrize("setting", [*ExecutorRestart])
def test_where_everything_fails_few_executors_are_started(setting: ExecutorRestart) -> None:
    """15,000 attempts are half of 10,000 mini-batches with three tries: of the two workers under 100 starts."""
    process, charged, index = Process(setting), 0, 0
    tries: dict[int, int] = {}
    while charged < 15000:
        if process.run(index, succeeded=False):
            charged += 1
            tries[index] = tries.get(index, 0) + 1
            index += tries[index] == 3
    assert process.replaced < 50


def test_a_success_ends_the_leniency() -> None:
    process = Process(ExecutorRestart.ON_FAILURE)
    for index in range(1000):
        while not process.run(index, succeeded=False):
            pass
    while process.run(2000, succeeded=False):
        pass
    process.run(2000, succeeded=True)
    before = process.replaced
    process.run(3000, succeeded=False)
    assert process.replaced == before + 1
