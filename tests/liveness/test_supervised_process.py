"""A process under a supervisor, as its parent sees it."""

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mpibatch.liveness.supervised_process import SupervisedProcess

MANY = 1100


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """This process has more descriptors open than select(2) can take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * MANY), hard))
    with ExitStack() as files:
        for _ in range(MANY):
            files.enter_context(open(os.devnull))
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_a_parent_with_very_many_descriptors() -> None:
    """It was "lost together with its supervisor": the supervisor waited for descriptors above 1024 by select(2)."""
    process = SupervisedProcess([sys.executable, "-c", "raise SystemExit(3)"], os.environ)
    try:
        while not process.poll():
            time.sleep(0.01)
        assert process.status is not None
        assert os.waitstatus_to_exitcode(process.status) == 3
    finally:
        process.close()


@pytest.mark.parametrize("ignore_signals", [False, True])
def test_it_is_in_its_cgroup_before_its_first_instruction(ignore_signals: bool, tmp_path: Path) -> None:
    """What it writes there is the kernel's word for itself. A cgroup that is gone hinders nothing."""
    (tmp_path / "cgroup.procs").touch()
    program = "import sys; sys.exit(open(sys.argv[1] + '/cgroup.procs').read() != '0')"
    command = [sys.executable, "-c", program, str(tmp_path)]
    entered = SupervisedProcess(command, os.environ, ignore_signals=ignore_signals, cgroup=str(tmp_path))
    assert entered.wait() == 0
    gone = SupervisedProcess([sys.executable, "-c", ""], os.environ, cgroup=str(tmp_path / "gone"))
    assert gone.wait() == 0
