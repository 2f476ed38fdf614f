"""Made this folder's data; needs scikit-learn.

    python jobs/wine/make_data.py

data/wines.csv:  the chemical analysis of 178 wines, which scikit-learn ships (UCI's wine data), without their grower
data/growers.csv: the grower of each, and which wines were held out (`split` is `test`)
data/model.json: for each grower the mean of the scaled analysis of the other wines, and how to scale
"""

import json
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

DATA = Path(__file__).resolve().parent / "data"


def main() -> None:
    wine = load_wine()
    features = [name.replace("/", "_") for name in wine.feature_names]
    wines = pd.DataFrame(wine.data, columns=features)
    growers = pd.Series([f"grower {number + 1}" for number in wine.target], name="grower")
    train, _ = train_test_split(wines.index, test_size=0.4, random_state=1, stratify=growers)
    names = pd.Series([f"wine {number:03d}" for number in range(1, len(wines) + 1)], name="wine")
    split = pd.Series("test", index=wines.index, name="split")
    split[train] = "train"

    DATA.mkdir(exist_ok=True)
    pd.concat([names, wines], axis=1).to_csv(DATA / "wines.csv", index=False)
    pd.concat([names, growers, split], axis=1).to_csv(DATA / "growers.csv", index=False)
    known = wines.loc[train]
    mean, deviation = known.mean(), known.std()
    centres = ((known - mean) / deviation).groupby(growers[train]).mean()
    stored = {
        "mean": mean.round(6).to_dict(),
        "deviation": deviation.round(6).to_dict(),
        "centres": {grower: row.round(6).to_dict() for grower, row in centres.iterrows()},
    }
    (DATA / "model.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
