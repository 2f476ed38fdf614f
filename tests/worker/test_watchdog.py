"""When is an executor over its limit: the judgement alone, and the thread with a clock that has gaps."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.executor.status_block import ExecutorStatus
from mpibatch.types import UNKNOWN, Phase
from mpibatch.worker.watchdog import Deadlines, PhaseExpired, PhaseTimeouts, Watchdog

TIMEOUTS = PhaseTimeouts(init=100, load=30, run=10, shutdown=5)


def status(phase: Phase, since: float, index: int = 7) -> ExecutorStatus:
    return ExecutorStatus(1, index, 0, UNKNOWN, 3, phase, since)


@pytest.mark.parametrize(
    ("phase", "limit"), [(Phase.LOAD, 30), (Phase.RUN, 10), (Phase.ENCODE, 30), (Phase.SHUTDOWN, 5)]
)
@given(since=st.floats(0, 1e6), spent=st.floats(0, 100))
def test_a_phase_has_its_own_limit(phase: Phase, limit: float, since: float, spent: float) -> None:
    verdict = Deadlines(TIMEOUTS, 0.0).check(status(phase, since), since + spent)
    if isinstance(verdict, PhaseExpired):
        assert spent >= limit - 1e-6
        assert (verdict.phase, verdict.index, verdict.limit) == (phase, 7, limit)
    else:
        assert spent <= limit
        assert verdict == pytest.approx(limit - spent, abs=1e-6)


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.SEND])
def test_waiting_is_never_the_scripts_fault(phase: Phase) -> None:
    assert not isinstance(Deadlines(TIMEOUTS, 0.0).check(status(phase, 0.0), 1e9), PhaseExpired)


@pytest.mark.parametrize("phase", [Phase.START, Phase.INIT])
def test_import_and_init_share_one_limit_from_the_start_of_the_process(phase: Phase) -> None:
    deadlines = Deadlines(TIMEOUTS, 1000.0)
    assert deadlines.check(status(phase, 1090.0), 1099.0) == pytest.approx(1.0)
    assert isinstance(deadlines.check(status(phase, 1099.0), 1100.5), PhaseExpired)


def test_a_suspension_moves_the_deadline_of_what_was_under_way() -> None:
    deadlines = Deadlines(TIMEOUTS, 0.0)
    deadlines.add_suspension(500.0, 400.0)  # nothing ran from 100 to 500
    assert deadlines.check(status(Phase.RUN, 95.0), 501.0) == pytest.approx(4.0)
    assert isinstance(deadlines.check(status(Phase.RUN, 95.0), 506.0), PhaseExpired)


def test_a_suspension_moves_nothing_that_began_after_it() -> None:
    deadlines = Deadlines(TIMEOUTS, 0.0)
    deadlines.add_suspension(500.0, 400.0)
    assert isinstance(deadlines.check(status(Phase.RUN, 501.0), 511.5), PhaseExpired)


def test_several_suspensions_add_up() -> None:
    deadlines = Deadlines(TIMEOUTS, 0.0)
    deadlines.add_suspension(200.0, 100.0)
    deadlines.add_suspension(304.0, 100.0)
    assert deadlines.check(status(Phase.RUN, 99.0), 305.0) == pytest.approx(4.0)  # 1 + 4 + 1 s of 10 are spent


@pytest.mark.parametrize("phase", [phase for phase in Phase if TIMEOUTS.for_phase(phase) is not None])
def test_an_expired_phase_says_what_and_which_setting(phase: Phase) -> None:
    text = str(PhaseExpired(phase, 7, 0, UNKNOWN, 10.0))
    assert "10 s" in text
    assert ("mini-batch 7" in text) == (phase in (Phase.LOAD, Phase.RUN, Phase.ENCODE))
    assert any(name in text for name in ("init_timeout", "load_timeout", "run_invocation_timeout", "shutdown_timeout"))


def test_the_thread_acts_once_and_only_on_whole_statuses() -> None:
    """A half-written status block is read again, not judged."""
    statuses: list[ExecutorStatus | None] = [None, None, status(Phase.RUN, time.monotonic() - 100)]
    acted: list[PhaseExpired] = []
    done = threading.Event()

    def act(expired: PhaseExpired) -> None:
        acted.append(expired)
        done.set()

    watchdog = Watchdog(lambda: statuses.pop(0) if len(statuses) > 1 else statuses[0], TIMEOUTS, 0.0, act)
    assert done.wait(5)
    watchdog.stop()
    assert [expired.phase for expired in acted] == [Phase.RUN]
