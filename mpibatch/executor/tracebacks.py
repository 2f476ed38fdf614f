"""How an exception of the user's script is told: one line, and the traceback from the script's own first frame on."""

import os
import traceback
from pathlib import Path
from types import TracebackType

OWN_FRAMES = str(Path(__file__).parents[1]) + os.sep
LONGEST_LINE, LONGEST_TRACEBACK = 2000, 20000  # characters


def summary_line(error: BaseException) -> str:
    """`ValueError: what it says`."""
    try:
        if isinstance(error, SyntaxError):  # its own first line says only where
            text = f"{type(error).__name__}: {error}"
        else:
            text = "".join(traceback.format_exception_only(error)).strip() + _why_it_exits(error)
    except Exception:  # an exception whose __str__ raises
        text = type(error).__name__
    first = text.splitlines()[0] if text else type(error).__name__
    return first[:LONGEST_LINE].encode("utf-8", "backslashreplace").decode()


def _why_it_exits(error: BaseException) -> str:
    """What argparse, or another that ends the process, has said on stderr: `SystemExit: 2` says nothing."""
    if not isinstance(error, SystemExit):
        return ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "error" and "message" in frame.f_locals:  # ArgumentParser.error
            return f" ({frame.f_locals['message']})"
    return f" ({error.__context__})" if error.__context__ else ""


def user_traceback(error: BaseException) -> str:
    """The traceback without the frames of whoever called the script or imported it."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and _is_quiet(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    try:
        lines = traceback.format_exception(type(error), error, trace)
    except Exception:
        lines = [type(error).__name__]
    return f"{_shortened(''.join(lines))}\n".encode("utf-8", "backslashreplace").decode()


def _shortened(text: str) -> str:
    """Its long lines cut, and its middle left out where there are too many: a long message hides no frame."""
    text = "\n".join(line[:LONGEST_LINE] for line in text.splitlines())
    if len(text) <= LONGEST_TRACEBACK:
        return text
    half = LONGEST_TRACEBACK // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[{left_out:,} characters are left out here]\n{text[-half:]}"


def _is_quiet(file_name: str) -> bool:
    return file_name.startswith((OWN_FRAMES, "<frozen importlib"))
