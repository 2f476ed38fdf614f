"""Jobs with models that people know run as fast as plain loops of the same script, and as a pool of processes.

    python -m benchmarks.models [--quick] [--jobs filetypes,ocr,embeddings,prompts] [--rounds 3] [--ranks 2]

The jobs of jobs/, with their own scripts and mini-batches, over their own data repeated. In turn: plain loops, one a
core (the metal), a pool and mpibatch, all with their models loaded before the clock starts.
"""

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import claim, peers
from benchmarks.claim import Size
from benchmarks.figures import Figure, Measured, bar_chart, ratios
from benchmarks.job import ROOT, BenchmarkJob
from benchmarks.peers import METAL, POOL
from benchmarks.rounds import in_turn


@dataclass(frozen=True, slots=True)
class Model:
    """A job: its script's name and arguments, files or rows of a mini-batch, and how often its data are repeated."""

    script: str
    size: int
    repeats: int
    arguments: tuple[str, ...] = ()
    rows: str = ""  # the file of its rows, where its data are no files
    packages: tuple[str, ...] = ()  # that its script imports


MODELS = {
    "filetypes": Model("identify", 8, 4, packages=("magika",)),
    "ocr": Model("read_text", 2, 1, packages=("rapidocr_onnxruntime",)),
    "embeddings": Model("embed", 64, 20, ("--encoder", "encoder.npz"), "messages.jsonl"),
    "prompts": Model(
        "complete",
        16,
        4,
        ("--engine", "torch", "--model", "model", "--max-tokens", "8"),
        "prompts.jsonl",
        ("torch", "transformers"),
    ),
}


@cache
def script_of(name: str) -> Any:
    """A job's script after its `init()`, once a process."""
    model, folder = MODELS[name], ROOT / "jobs" / name
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as mpibatch sets it where each executor owns a core
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    sys.argv = [model.script, *model.arguments]
    script = importlib.import_module(model.script)
    script.init()
    return script


def work(item: list[Any]) -> list[str]:
    """item: a job's name, and a mini-batch of paths or rows."""
    import pandas as pd

    name, batch = item
    found = script_of(name).run(pd.DataFrame(batch) if MODELS[name].rows else batch)
    return [str(row) for row in (found.itertuples(index=False) if isinstance(found, pd.DataFrame) else found)]


def prepare(name: str, folder: Path, repeats: int) -> list[Any]:
    """A copy of the job in `folder`, its data repeated; its items."""
    model = MODELS[name]
    shutil.copytree(ROOT / "jobs" / name, folder, ignore=shutil.ignore_patterns("runs"))
    data = folder / "data"
    if model.rows:
        rows = [json.loads(line) for line in (data / model.rows).read_text().splitlines()]
        rows = [row for row in rows if len(row.get("prompt", "")) < 200] * repeats  # one prompt is there to fail
        (data / model.rows).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return rows
    files = sorted(path for path in data.rglob("*") if path.is_file())
    for again in range(1, repeats):
        for path in files:
            shutil.copy(path, path.with_name(f"{again}-{path.name}"))
    return sorted(str(path) for path in data.rglob("*") if path.is_file())


def measure_one(name: str, options: argparse.Namespace, measured: Measured) -> float:
    """The share of the metal that mpibatch has."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, size = Path(temporary, name), MODELS[name].size
        items = prepare(name, folder, 1 if options.quick else MODELS[name].repeats)
        batches = [[name, items[first : first + size]] for first in range(0, len(items), size)]
        job = BenchmarkJob(folder / "job.yaml")
        ways = {"mpibatch": lambda: len(items) / job.run(options.ranks).seconds}
        for peer in (METAL, POOL):
            ways[peer.name] = partial(rate, peer, batches, len(items), options.ranks)
        found = in_turn(ways, options.rounds, measured.notes)
    measured.figures.append(Figure(f"{name}: plain loops", found[METAL.name], "{:,.1f} items/s"))
    for who in ("mpibatch", POOL.name):
        measured.figures.append(Figure(f"{name}: {who}", ratios(found, who, METAL.name), "{:.1%} of the metal"))
    return measured.figures[-2].median


def rate(peer: peers.Peer, batches: list[Any], items: int, ranks: int) -> float:
    few = batches[:ranks]  # what a peer warms up with: enough to load the model
    return items / peers.run(peer, work, [few, batches], ranks)[-1]


def measure(options: argparse.Namespace) -> Measured:
    measured, shares = Measured(), {}
    for name in options.jobs.split(","):
        if missing := [package for package in MODELS[name].packages if find_spec(package) is None]:
            measured.notes.append(f"{name} is left out: {' and '.join(missing)} not installed")
        else:
            shares[name] = measure_one(name, options, measured)
    measured.charts = [bar_chart("Jobs with models", "mpibatch's share of plain loops", shares)]
    return measured


if __name__ == "__main__":
    claim.main(__doc__, measure, {"jobs": Size(",".join(MODELS), ",".join(MODELS))})
