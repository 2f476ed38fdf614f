"""A trivial job takes a second from command to exit, and `import mpibatch` and `--help` are there at once.

    python -m benchmarks.startup [--quick] [--rounds 7] [--ranks 2]

Wall time of whole processes, one after another.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks import claim
from benchmarks.claim import Size
from benchmarks.figures import Figure, Measured
from benchmarks.job import ENVIRONMENT, BenchmarkJob
from benchmarks.rounds import in_turn

SCRIPT = "def run(mini_batch):\n    return ['row']\n"


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    return time.perf_counter() - began


def measure(options: argparse.Namespace) -> Measured:
    measured = Measured()
    with tempfile.TemporaryDirectory() as name:
        job = BenchmarkJob.write(Path(name), SCRIPT, mini_batch_count=10)
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import mpibatch": [sys.executable, "-c", "import mpibatch"],
            "mpibatch --help": [sys.executable, "-m", "mpibatch", "--help"],
            "mpibatch run -n 1": job.command(1),
            f"mpibatch run -n {options.ranks}": job.command(options.ranks),
        }
        ways = {what: partial(seconds, command) for what, command in commands.items()}
        found = in_turn(ways, options.rounds, measured.notes)
    aims = dict(zip(commands, (None, 0.1, 0.2, None, 0.8), strict=True))
    measured.figures = [Figure(what, values, "{:.2f} s", at_most=aims[what]) for what, values in found.items()]
    return measured


if __name__ == "__main__":
    claim.main(__doc__, measure, {"rounds": Size(7, 1)})
