"""Fits a linear demand model to the weeks of one shop and product, and stores it as JSON."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.linear_model import LinearRegression

FEATURES = ["price", "promotion", "holiday"]


def run(mini_batch: pd.DataFrame, context: Any) -> list[str]:
    """All weeks of one shop and product."""
    key = context.partition_key_value
    model = LinearRegression().fit(mini_batch[FEATURES].to_numpy(), mini_batch["sold"].to_numpy())
    stored = {
        **key,
        "weeks": len(mini_batch),
        "intercept": round(float(model.intercept_), 4),
        "coefficients": dict(zip(FEATURES, model.coef_.round(4).tolist(), strict=True)),
    }
    store(Path(os.environ["MPIBATCH_OUTPUT_DIR"], f"{key['shop']}-{key['product']}.json"), stored)
    return list(mini_batch["week"])  # counted, and kept nowhere: a row for each week says that all went well


def store(path: Path, stored: dict[str, Any]) -> None:
    """Whole or not at all: run() may be called again for the same group after a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
