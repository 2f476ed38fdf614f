"""What is accepted and not used, told in a line each on stderr, once a process."""

import sys
from functools import cache


@cache
def notify(text: str) -> None:
    """Prints a line, the first time that it is given."""
    print(f"mpibatch: {text}", file=sys.stderr, flush=True)
