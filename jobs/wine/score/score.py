"""Names the grower of each wine: the one whose wines are nearest."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

centres: dict[str, pd.Series] = {}


def init() -> None:
    """Called once per executor."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    model = json.loads(parser.parse_args().model.read_text(encoding="utf-8"))
    centres.update({grower: pd.Series(centre) for grower, centre in model["centres"].items()})


def run(mini_batch: pd.DataFrame) -> pd.DataFrame:
    """One row of output per wine."""
    distances = pd.DataFrame(
        {grower: np.linalg.norm(mini_batch[centre.index] - centre, axis=1) for grower, centre in centres.items()}
    )
    return pd.DataFrame(
        {
            "wine": mini_batch["wine"],
            "grower": distances.idxmin(axis=1),
            "distance": distances.min(axis=1).round(4),
        }
    )
