"""What a claim's program has measured: figures, one value a round, and charts; as text, and as JSON for `__main__`.

measure(options) --> Measured --+--> printed
                                +--> --json FILE --> results.py --> RESULTS.md, plots/*.svg
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity.

    values:            one a round
    shown:             a format with the unit, such as "{:,.0f} mini-batches/s"
    at_least, at_most: the aim, in the same unit
    """

    what: str
    values: list[float]
    shown: str = "{:.2f}"
    at_least: float | None = None
    at_most: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> str:
        """From the lowest to the highest; nothing where there was one round."""
        if len(self.values) < 2:
            return ""
        return f"{self.shown.format(min(self.values))} to {self.shown.format(max(self.values))}"

    @property
    def aim(self) -> str:
        """In words, with whether the median reaches it."""
        if self.at_least is not None:
            reached, words = self.median >= self.at_least, f"at least {self.shown.format(self.at_least)}"
        elif self.at_most is not None:
            reached, words = self.median <= self.at_most, f"at most {self.shown.format(self.at_most)}"
        else:
            return ""
        return words if reached else f"{words}: not reached"

    def __str__(self) -> str:
        notes = "; ".join(filter(None, (self.spread, self.aim and f"aim: {self.aim}")))
        return f"{self.what:40} {self.shown.format(self.median):>24}" + f"   ({notes})" * bool(notes)


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines through (x, y) points by what they are of, x on a logarithmic axis; or bars: one point each, x unused."""

    title: str
    x_label: str
    y_label: str
    lines: dict[str, list[tuple[float, float]]]
    bars: bool = False


@dataclass(slots=True)
class Measured:
    """All that one program has found. notes: what a reader must know of it, such as who did not run."""

    figures: list[Figure] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def read(path: Path) -> "Measured":
        found = json.loads(path.read_text())
        figures = [Figure(**figure) for figure in found["figures"]]
        return Measured(figures, [Chart(**chart) for chart in found["charts"]], found["notes"])


def ratios(found: Mapping[str, Sequence[float]], of: str, over: str) -> list[float]:
    """Of values of the same round."""
    return [one / other for one, other in zip(found[of], found[over], strict=False)]


def bar_chart(title: str, y_label: str, heights: Mapping[str, float]) -> Chart:
    return Chart(title, "", y_label, {what: [(0.0, height)] for what, height in heights.items()}, bars=True)
