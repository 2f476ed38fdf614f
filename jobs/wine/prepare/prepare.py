"""Scales the analyses, so that every substance counts alike: wines.csv --> OUT/scaled.csv."""

import argparse
import json
from pathlib import Path

import pandas as pd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wines", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    wines = pd.read_csv(options.wines, index_col="wine")
    model = json.loads(options.model.read_text(encoding="utf-8"))
    scaled = (wines - pd.Series(model["mean"])) / pd.Series(model["deviation"])
    scaled.to_csv(options.out / "scaled.csv")
    print(f"{len(scaled)} wines, {len(scaled.columns)} substances")


if __name__ == "__main__":
    main()
