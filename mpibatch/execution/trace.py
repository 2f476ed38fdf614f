"""How an exception of the user's script is told: one line, and the traceback from the script's own first frame on."""

import traceback
from pathlib import Path
from types import TracebackType

QUIET_FRAMES = Path(__file__).parent
LONGEST_LINE, LONGEST_TRACEBACK = 2000, 20000  # characters


def one_line(error: BaseException) -> str:
    """`ValueError: what it says`."""
    try:
        if isinstance(error, SyntaxError):  # its own first line says only where
            text = f"{type(error).__name__}: {error}"
        else:
            text = "".join(traceback.format_exception_only(error)).strip()
    except Exception:  # an exception whose __str__ raises
        text = type(error).__name__
    first = text.splitlines()[0] if text else type(error).__name__
    return first[:LONGEST_LINE].encode("utf-8", "backslashreplace").decode()


def user_traceback(error: BaseException) -> str:
    """The traceback without the frames of whoever called the script or imported it."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and _is_quiet(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    try:
        lines = traceback.format_exception(type(error), error, trace)
    except Exception:
        lines = [type(error).__name__]
    return "".join(lines)[-LONGEST_TRACEBACK:].encode("utf-8", "backslashreplace").decode()


def _is_quiet(file_name: str) -> bool:
    return Path(file_name).parent == QUIET_FRAMES or file_name.startswith("<frozen importlib")
