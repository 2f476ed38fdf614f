"""Charts as SVG files, where matplotlib is installed (the extra `bench`)."""

import re
from pathlib import Path

from benchmarks.figures import Chart


def draw(chart: Chart, folder: Path) -> Path | None:
    """The file that was written; None without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "mpibatch", "svg.fonttype": "none", "font.size": 10})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    if chart.bars:
        heights = {who: points[0][1] for who, points in chart.lines.items()}
        bars = axes.barh(list(heights), list(heights.values()), color=["#1f6feb", *["#9aa4b2"] * (len(heights) - 1)])
        axes.bar_label(bars, [f"{height:,.3g}" if height < 1000 else f"{height:,.0f}" for height in heights.values()])
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_xlabel(chart.y_label)
    else:
        for who, points in chart.lines.items():
            axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=who)
        axes.set_xscale("log")
        axes.set_ylim(0, 1.05)
        axes.axhline(0.5, color="#9aa4b2", linewidth=1, linestyle="--")
        axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
        axes.legend()
    axes.set_title(chart.title)
    axes.spines[["top", "right"]].set_visible(False)
    folder.mkdir(exist_ok=True)
    path = folder / (re.sub(r"\W+", "-", chart.title.lower()).strip("-") + ".svg")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path
