"""The report's charts as data of Apache ECharts: aggregated here, so that a million mini-batches are a few kilobytes.

Each has a title, a sentence that says in words what it shows, and an ECharts `option`. Colours and fonts are the
page's (report.js), by light or dark.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mpibatch.reporting.analysis import STATES, Analysis, Lane
from mpibatch.reporting.text import duration
from mpibatch.runs.measurements import Floats

BINS = 120
FEWEST_BINS = 8
PER_BIN = 8  # mini-batches, of the throughput
MOST_LANES = 64
MOST_HOSTS = 8
MOST_SAMPLES = 300
CELLS = 9600  # of the timeline, in all lanes
SHARE_STEPS = 10


@dataclass(frozen=True, slots=True)
class Chart:
    """id: of the page's element; kind: "timeline" is drawn by the page's own renderItem; height: in pixels."""

    id: str
    title: str
    says: str
    option: dict[str, Any]
    kind: str = ""
    height: int = 280


def charts(analysis: Analysis) -> list[Chart]:
    """Those for which something was measured."""
    found = []
    if len(analysis.finished):
        found.append(_throughput(analysis))
    if analysis.lanes:
        found.append(_timeline(analysis))
    if len(analysis.run):
        found.append(_run_times(analysis))
    return found + _resources(analysis)


def _throughput(analysis: Analysis) -> Chart:
    # in bins of few mini-batches a steady run would look like a saw
    bins = min(BINS, max(FEWEST_BINS, len(analysis.finished) // PER_BIN))
    edges = analysis.edges(bins)
    width = edges[1] - edges[0]
    counts, _ = np.histogram(analysis.finished, bins=edges, weights=analysis.items)
    rate = counts / width
    busy = analysis.busy(bins)
    middle = (edges[:-1] + edges[1:]) / 2 - analysis.first
    mean = float(analysis.items.sum()) / analysis.seconds
    return Chart(
        "throughput",
        "Throughput",
        f"{mean:,.1f} items/s on average over {duration(analysis.seconds)}, {rate.max():,.1f} items/s at best. "
        f"Executors were busy {analysis.busy_share:.0%} of the time after init().",
        {
            "xAxis": _time_axis(),
            "yAxis": [
                {"type": "value", "name": "items/s", "nameLocation": "end"},
                {"type": "value", "name": "executors at work", "nameTextStyle": {"align": "right"}, "min": 0,
                 "max": max(1, len(analysis.lanes)),
                 "splitLine": {"show": False}},
            ],
            "series": [
                {"name": "items/s", "type": "line", "showSymbol": False, "areaStyle": {"opacity": 0.25},
                 "data": _points(middle, rate)},
                {"name": "executors at work", "type": "line", "showSymbol": False, "yAxisIndex": 1,
                 "lineStyle": {"type": "dashed", "width": 1}, "data": _points(middle, busy)},
            ],
        },
    )  # fmt: skip


def _timeline(analysis: Analysis) -> Chart:
    """One lane an executor; above MOST_LANES, one for several neighbours."""
    size = -(-len(analysis.lanes) // MOST_LANES)
    groups = [analysis.lanes[first : first + size] for first in range(0, len(analysis.lanes), size)]
    bins = max(40, min(240, CELLS // len(groups)))
    edges = analysis.edges(bins)
    names, cells = [], []
    for row, group in enumerate(groups):
        names.append(f"rank {group[0].rank}" if len(group) == 1 else f"ranks {group[0].rank}-{group[-1].rank}")
        cells += [[row, *cell] for cell in _cells(group, edges, analysis.first)]
    total = len(analysis.lanes) * analysis.seconds
    shares = ", ".join(f"{state} {analysis.totals[state] / total:.0%}" for state in STATES)
    idle = max(0.0, 1 - sum(analysis.totals.values()) / total)
    return Chart(
        "timeline",
        "Executors",
        f"What {len(analysis.lanes)} executors did: {shares}, idle {idle:.0%}. "
        + (f"Each lane stands for up to {size} of them. " if size > 1 else "")
        + "The paler, the more of that time was idle.",
        {
            "xAxis": {**_time_axis(), "max": round(analysis.seconds, 4), "axisLabel": {"showMaxLabel": False}},
            "yAxis": {"type": "category", "data": names, "inverse": True, "axisTick": {"show": False}},
            "states": list(STATES),
            "cells": cells,
        },
        "timeline",
        90 + max(60, min(14 * len(groups), 720)),
    )


def _cells(group: tuple[Lane, ...], edges: Floats, first: float) -> list[list[float]]:
    """[from, to, state, share at work] of the stretches of one lane in which something was done."""
    shares = np.array([sum(lane.coverage(state, edges) for lane in group) for state in STATES]) / len(group)
    state = shares.argmax(axis=0)
    level = np.ceil(np.clip(shares.sum(axis=0), 0, 1) * SHARE_STEPS).astype(int)
    cells: list[list[float]] = []
    for place in np.flatnonzero(level):
        begin, end = float(edges[place] - first), float(edges[place + 1] - first)
        kind, share = int(state[place]), level[place] / SHARE_STEPS
        if cells and abs(cells[-1][1] - begin) < 1e-9 * max(1.0, begin) and cells[-1][2:] == [kind, share]:
            cells[-1][1] = end
        else:
            cells.append([begin, end, kind, share])
    return [[round(begin, 4), round(end, 4), kind, share] for begin, end, kind, share in cells]


def _run_times(analysis: Analysis) -> Chart:
    run = np.maximum(analysis.run, 1e-6)
    low, high = float(run.min()), float(run.max())
    edges = np.geomspace(low * 0.999, max(high, low * 1.01) * 1.001, 41)
    counts, _ = np.histogram(run, bins=edges)
    median, ninetieth = np.percentile(run, [50, 90])
    return Chart(
        "run-times",
        "How long run() took",
        f"Median {duration(median)}, nine of ten below {duration(ninetieth)}, longest {duration(high)}; "
        f"{len(run):,} calls.",
        {
            "xAxis": {"type": "category", "data": [duration(float(f"{edge:.2g}")) for edge in edges[:-1]],
                      "name": "run()", "nameLocation": "middle", "nameGap": 28},
            "yAxis": {"type": "value", "name": "calls"},
            "series": [{"name": "calls of run()", "type": "bar", "barCategoryGap": "5%", "data": counts.tolist()}],
        },
    )  # fmt: skip


def _resources(analysis: Analysis) -> list[Chart]:
    """CPU, memory and GPUs of each node; beyond MOST_HOSTS the first ones."""
    hosts = list(analysis.resources)[:MOST_HOSTS]
    more = len(analysis.resources) - len(hosts)
    found = []
    for id, title, used, total in (
        ("cpu", "CPU", "cpu_percent", ""),
        ("memory", "Memory", "memory_bytes", "memory_total_bytes"),
        ("gpu", "GPU", "gpu_percent", ""),
        ("gpu-memory", "GPU memory", "gpu_memory_bytes", "gpu_memory_total_bytes"),
    ):
        series, means = [], []
        for host in hosts:
            columns = analysis.resources[host]
            if used not in columns or not len(columns["time"]):
                continue
            values = columns[used] if not total else 100 * columns[used] / columns[total]
            known = ~np.isnan(values)
            if not known.any():
                continue
            step = -(-int(known.sum()) // MOST_SAMPLES)
            points = _points(columns["time"][known][::step] - analysis.first, values[known][::step])
            series.append({"name": host, "type": "line", "showSymbol": len(points) < 3, "data": points})
            means.append(f"{host} {np.mean(values[known]):.0f}% on average, {np.max(values[known]):.0f}% at most")
        if series:
            says = "; ".join(means) + (f"; {more} more nodes are not shown." if more else ".")
            axis = {"type": "value", "name": "%", "min": 0, "max": 100}
            found.append(Chart(id, title, says, {"xAxis": _time_axis(), "yAxis": axis, "series": series}, height=200))
    return found


def _time_axis() -> dict[str, Any]:
    return {"type": "value", "name": "seconds", "nameLocation": "middle", "nameGap": 28, "min": 0}


def _points(x: Floats, y: Floats) -> list[list[float]]:
    return [[_short_number(one), _short_number(other)] for one, other in zip(x.tolist(), y.tolist(), strict=True)]


def _short_number(value: float) -> float:
    return float(f"{value:.5g}")
