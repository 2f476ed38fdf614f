"""When is an executor over its limit: the judgement alone, and the thread with a clock that has gaps."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.execution.slot import Reading
from mpibatch.execution.watchdog import Deadlines, Overrun, TimeLimits, Watchdog
from mpibatch.types import UNKNOWN, Phase

LIMITS = TimeLimits(init=100, load=30, run=10, shutdown=5)


def reading(phase: Phase, since: float, index: int = 7) -> Reading:
    return Reading(1, index, 0, UNKNOWN, 3, phase, since)


@pytest.mark.parametrize(
    ("phase", "limit"), [(Phase.LOAD, 30), (Phase.RUN, 10), (Phase.ENCODE, 30), (Phase.SHUTDOWN, 5)]
)
@given(since=st.floats(0, 1e6), spent=st.floats(0, 100))
def test_a_phase_has_its_own_limit(phase: Phase, limit: float, since: float, spent: float) -> None:
    verdict = Deadlines(LIMITS, 0.0).judge(reading(phase, since), since + spent)
    if isinstance(verdict, Overrun):
        assert spent >= limit - 1e-6
        assert (verdict.phase, verdict.index, verdict.limit) == (phase, 7, limit)
    else:
        assert spent <= limit
        assert verdict == pytest.approx(limit - spent, abs=1e-6)


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.SEND])
def test_waiting_is_never_the_scripts_fault(phase: Phase) -> None:
    assert not isinstance(Deadlines(LIMITS, 0.0).judge(reading(phase, 0.0), 1e9), Overrun)


@pytest.mark.parametrize("phase", [Phase.START, Phase.INIT])
def test_import_and_init_share_one_limit_from_the_start_of_the_process(phase: Phase) -> None:
    deadlines = Deadlines(LIMITS, 1000.0)
    assert deadlines.judge(reading(phase, 1090.0), 1099.0) == pytest.approx(1.0)
    assert isinstance(deadlines.judge(reading(phase, 1099.0), 1100.5), Overrun)


def test_a_suspension_moves_the_deadline_of_what_was_under_way() -> None:
    deadlines = Deadlines(LIMITS, 0.0)
    deadlines.gap(500.0, 400.0)  # nothing ran from 100 to 500
    assert deadlines.judge(reading(Phase.RUN, 95.0), 501.0) == pytest.approx(4.0)
    assert isinstance(deadlines.judge(reading(Phase.RUN, 95.0), 506.0), Overrun)


def test_a_suspension_moves_nothing_that_began_after_it() -> None:
    deadlines = Deadlines(LIMITS, 0.0)
    deadlines.gap(500.0, 400.0)
    assert isinstance(deadlines.judge(reading(Phase.RUN, 501.0), 511.5), Overrun)


def test_several_suspensions_add_up() -> None:
    deadlines = Deadlines(LIMITS, 0.0)
    deadlines.gap(200.0, 100.0)
    deadlines.gap(304.0, 100.0)
    assert deadlines.judge(reading(Phase.RUN, 99.0), 305.0) == pytest.approx(4.0)  # 1 + 4 + 1 s of 10 are spent


@pytest.mark.parametrize("phase", [phase for phase in Phase if LIMITS.of(phase) is not None])
def test_an_overrun_says_what_and_which_setting(phase: Phase) -> None:
    text = str(Overrun(phase, 7, 0, UNKNOWN, 10.0))
    assert "10 s" in text
    assert ("mini-batch 7" in text) == (phase in (Phase.LOAD, Phase.RUN, Phase.ENCODE))
    assert any(name in text for name in ("init_timeout", "load_timeout", "run_invocation_timeout", "time it gets"))


def test_the_thread_acts_once_and_only_on_whole_readings() -> None:
    """A half-written slot is looked at again, not judged."""
    readings: list[Reading | None] = [None, None, reading(Phase.RUN, time.monotonic() - 100)]
    acted: list[Overrun] = []
    done = threading.Event()

    def act(overrun: Overrun) -> None:
        acted.append(overrun)
        done.set()

    watchdog = Watchdog(lambda: readings.pop(0) if len(readings) > 1 else readings[0], LIMITS, 0.0, act)
    assert done.wait(5)
    watchdog.stop()
    assert [overrun.phase for overrun in acted] == [Phase.RUN]
