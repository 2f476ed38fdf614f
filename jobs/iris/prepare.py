"""Made this folder's data and model; needs scikit-learn.

    python jobs/iris/prepare.py

data/flowers.csv: the 150 flowers of Fisher's iris data, which scikit-learn ships, without their species
labels.csv:       the species, and which flowers were held out (`split` is `test`)
model.json:       a logistic regression fitted to the others
"""

import json
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent


def main() -> None:
    iris = load_iris()
    features = [name.removesuffix(" (cm)").replace(" ", "_") for name in iris.feature_names]
    flowers = pd.DataFrame(iris.data, columns=features)
    flowers.insert(0, "flower", [f"{number:03d}" for number in range(1, len(flowers) + 1)])
    species = pd.Series(iris.target_names[iris.target], name="species")
    train, test = train_test_split(flowers.index, test_size=0.3, random_state=1, stratify=species)

    (HERE / "data").mkdir(exist_ok=True)
    flowers.to_csv(HERE / "data" / "flowers.csv", index=False)
    split = pd.Series("train", index=flowers.index, name="split")
    split[test] = "test"
    pd.concat([flowers["flower"], species, split], axis=1).to_csv(HERE / "labels.csv", index=False)

    model = LogisticRegression(max_iter=1000).fit(flowers.loc[train, features].to_numpy(), species[train])
    stored = {
        "features": features,
        "species": model.classes_.tolist(),
        "coefficients": model.coef_.round(6).tolist(),
        "intercepts": model.intercept_.round(6).tolist(),
    }
    (HERE / "model.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
