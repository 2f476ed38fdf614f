"""How the helper processes (supervisor, deadman) are started: an isolated interpreter without site-packages.

`python -I -S` starts in half the time and takes a third of the memory, and there is one beside every rank and every
executor. So what they import is the standard library, and modules of `mpibatch/liveness/` that keep to it.
"""

import sys
from pathlib import Path

ROOT = str(Path(__file__).parents[2])
"""Where `mpibatch` is imported from."""


def helper_command(module: str) -> list[str]:
    """The command that runs `main(arguments)` of mpibatch.liveness.<module>; its arguments are to be appended."""
    bootstrap = f"import os, sys; sys.path.append(sys.argv[1]); from mpibatch.liveness.{module} import main"
    return [sys.executable, "-I", "-S", "-c", f"{bootstrap}; main(sys.argv[2:]); os._exit(0)", ROOT]
