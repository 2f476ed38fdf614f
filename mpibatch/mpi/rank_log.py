"""mpibatch's own log of a rank: logs/sys/<host>/rank<r>.txt."""

import logging
import os

from mpibatch.escaping import escape_controls
from mpibatch.runs.directory import RunDirectory


class _Escaping(logging.Formatter):
    """A script's error may hold what would move the cursor of whoever looks at the log."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_controls(super().format(record))


def log_to(directory: RunDirectory, rank: int, level: str) -> None:
    """From here on what this rank logs goes to its file; to stderr where there can be none."""
    path = directory.rank_log("sys", os.uname().nodename, rank)
    handler: logging.Handler
    try:
        directory.make_parent(path)
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError:  # whether this rank can do without is seen when its executor starts
        handler = logging.StreamHandler()
    handler.setFormatter(_Escaping("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    package = logging.getLogger("mpibatch")
    for earlier in package.handlers:
        earlier.close()
    package.handlers = [handler]
    package.setLevel(level)
    package.propagate = False
