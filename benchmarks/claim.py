"""How a claim's program is started: sizes as options, `--quick` for small ones, figures printed and as JSON."""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.figures import Measured
from benchmarks.leftovers import adopt_orphans, end_leftovers


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: ordinarily, and with --quick."""

    ordinary: float | str
    quick: float | str
    help: str = ""


COMMON = {"rounds": Size(3, 1, "the median of so many is told"), "ranks": Size(2, 2, "executors of each peer")}


def main(description: str | None, measure: Callable[[argparse.Namespace], Measured], sizes: Mapping[str, Size]) -> None:
    """Measures, prints, and leaves no process. sizes: by the option's name."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny: shows that it works, and nothing else")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    quick = "--quick" in sys.argv
    for name, size in {**COMMON, **sizes}.items():
        default = size.quick if quick else size.ordinary
        kind = str if isinstance(default, str) else partial(_above_zero, type(default))
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{size.help} [{default}]")
    options = parser.parse_args()
    adopt_orphans()
    try:
        measured = measure(options)
    finally:
        end_leftovers()
    for line in [*measured.figures, *measured.notes]:
        print(line, flush=True)
    if options.json:
        measured.write(options.json)


def _above_zero(kind: type[float], text: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = kind(0)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is no {'whole ' * (kind is int)}number above 0")
    return value
