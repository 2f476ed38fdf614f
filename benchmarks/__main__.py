"""Runs all claims, one after another, and writes what was seen.

    python -m benchmarks [--quick] [--output FOLDER] [--limit SECONDS] [CLAIM ...]

Each in a process of its own: one that fails or takes too long is told of and the others go on. Ordinarily
benchmarks/RESULTS.md and benchmarks/plots are written; with --quick, or for single claims, only where --output says.
Exit status 1 where one failed. No process is left.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, results
from benchmarks.figures import Measured
from benchmarks.job import ENVIRONMENT
from benchmarks.leftovers import adopt_orphans, end_leftovers
from benchmarks.results import Section

CLAIMS = (
    "dispatch", "images", "work", "metg", "table", "memory", "journal", "capacity", "plan", "startup", "views",
    "models",
)  # fmt: skip


def measure(name: str, quick: bool, limit: float) -> Section:
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder, "figures.json")
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(figures), *["--quick"] * quick]
        began, problem = time.monotonic(), ""
        try:
            subprocess.run(command, check=True, env=ENVIRONMENT, timeout=limit)
        except subprocess.TimeoutExpired:
            problem = f"it took longer than {limit:g} s (--limit)"
        except subprocess.CalledProcessError as error:
            problem = f"status {error.returncode}; what it said is in this command's output"
        finally:
            end_leftovers()
        seconds = time.monotonic() - began
        return Section(name, None if problem else Measured.read(figures), seconds, problem)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help=f"all, or some of {', '.join(CLAIMS)}")
    parser.add_argument("--quick", action="store_true", help="tiny: shows that all work, and nothing else")
    parser.add_argument("--output", type=Path, help="the folder for RESULTS.md and plots")
    parser.add_argument("--limit", type=float, default=480.0, help="seconds of one claim [480]")
    options = parser.parse_args()
    if unknown := set(options.claims) - set(CLAIMS):
        parser.error(f"there is no claim {', '.join(sorted(unknown))}; there are {', '.join(CLAIMS)}")
    output = options.output
    if output is None and not options.quick and not options.claims:
        output = Path(__file__).parent
    adopt_orphans()
    about = [f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", *machine.description()]
    load, sections = machine.load(), []
    for name in options.claims or CLAIMS:
        print(f"== {name}", flush=True)
        sections.append(measure(name, options.quick, options.limit))
        print(f"   {sections[-1].seconds:.0f} s {sections[-1].problem}", flush=True)
    took = sum(section.seconds for section in sections)
    about += [f"Processes that wanted a core before it began: {load}. All together took {took:.0f} s."]
    about += ["Sizes are those of `--quick`: the figures say nothing."] * options.quick
    if output is not None:
        print(f"written: {results.write(output, about, sections)}")
    return int(any(section.measured is None for section in sections))


if __name__ == "__main__":
    sys.exit(main())
