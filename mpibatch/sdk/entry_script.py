"""EntryScript: what an entry script may ask of where it runs."""

import logging
import os
from pathlib import Path

SCRIPT_LOG = "MPIBATCH_SCRIPT_LOG"


class EntryScript:
    """All of them are one: folders, a logger, and the name of the process."""

    @property
    def logger(self) -> logging.Logger:
        """Writes to the rank's file in logs/user/entry_script_log, whatever is done to the root logger."""
        logger = logging.getLogger("EntryScript")
        path = os.environ.get(SCRIPT_LOG)
        if path and not any(isinstance(handler, _LogFile) for handler in logger.handlers):
            handler = _LogFile(path, encoding="utf-8", delay=True)
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            logger.addHandler(handler)
            logger.propagate = False  # the root logger writes to the same file
            logger.setLevel(logging.getLogger().level)
        return logger

    @property
    def log_dir(self) -> str:
        return os.fspath(Path(os.environ[SCRIPT_LOG]).parent) if SCRIPT_LOG in os.environ else os.getcwd()

    @property
    def output_dir(self) -> str:
        """The step's output folder, where the append_row file is too."""
        return os.environ.get("MPIBATCH_OUTPUT_DIR") or os.getcwd()

    @property
    def working_dir(self) -> str:
        return os.getcwd()

    @property
    def agent_name(self) -> str:
        """The process, by its number on the node: process000."""
        return f"process{int(os.environ.get('MPIBATCH_LOCAL_RANK', '0')):03}"


class _LogFile(logging.FileHandler):
    """The handler that is EntryScript's own."""
