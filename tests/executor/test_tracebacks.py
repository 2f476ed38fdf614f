"""How an exception of a script is told."""

import pytest

from mpibatch.executor.tracebacks import LONGEST_TRACEBACK, summary_line, user_traceback
from mpibatch.runs.failure_kinds import last_frame


@pytest.mark.parametrize("message", ["x" * 1_000_000, "x\n" * 500_000, "\x1b[31m\udcff"])
def test_a_message_of_megabytes_hides_no_frame(message: str) -> None:
    """Only the end was kept, and so neither the line of the script nor its kind was known."""
    try:
        raise ValueError(message)
    except ValueError as error:
        trace, line = user_traceback(error), summary_line(error)
    assert last_frame(trace).startswith("test_tracebacks.py:")
    assert len(trace) < LONGEST_TRACEBACK + 100
    assert line.startswith("ValueError: ")
    assert len(line) <= 2000
    assert trace.endswith("\n")
    trace.encode()
