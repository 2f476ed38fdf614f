"""RESULTS.md: what was seen, a section a claim; what is claimed, and how it is measured, stands in README.md."""

import importlib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, Measured
from benchmarks.plots import draw


@dataclass(frozen=True, slots=True)
class Section:
    """One claim's program. measured: None where it failed, and `problem` says how; seconds: how long it took."""

    name: str
    measured: Measured | None
    seconds: float
    problem: str = ""


def write(folder: Path, about: list[str], sections: list[Section]) -> Path:
    """RESULTS.md and plots/ in `folder`; about: lines about machine and time."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Results", "", "Written by `python -m benchmarks`; README.md says what is claimed, and how.", ""]
    for line in about:
        lines += [f"- {line}"]
    failed = [section.name for section in sections if section.measured is None]
    if failed:
        lines += ["", f"**Not measured, since they failed: {', '.join(failed)}.**"]
    for section in sections:
        lines += ["", *_section(section, folder)]
    path = folder / "RESULTS.md"
    path.write_text("\n".join(lines) + "\n")
    return path


def _section(section: Section, folder: Path) -> list[str]:
    title = (importlib.import_module(f"benchmarks.{section.name}").__doc__ or section.name).splitlines()[0]
    lines = [f"## {section.name}", "", title, ""]
    if section.measured is None:
        return [*lines, f"**Failed**: {section.problem}"]
    lines += ["| what | median | from, to | aim |", "| --- | ---: | --- | --- |"]
    lines += map(_row, section.measured.figures)
    for chart in section.measured.charts:
        path = draw(chart, folder / "plots")
        lines += [
            "",
            f"![{chart.title}](plots/{path.name})" if path else f"(no plot of {chart.title!r}: no matplotlib)",
        ]
    for note in section.measured.notes:
        lines += ["", f"Note: {note}."]
    return [*lines, "", f"It took {section.seconds:.0f} s."]


def _row(figure: Figure) -> str:
    return f"| {figure.what} | {figure.shown.format(figure.median)} | {figure.spread} | {figure.aim} |"
