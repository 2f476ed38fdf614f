"""Whether there is a model for each shop and product, near the one that the data was made from.

python jobs/sales/check.py FOLDER        # outputs of the run
"""

import argparse
import json
from pathlib import Path

TRUTH = Path(__file__).resolve().parent / "truth.json"
TOLERANCE = 6.0  # pieces a week; the noise of the data has a deviation of 2


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the job's models with truth.json.")
    parser.add_argument("folder", type=Path, help="outputs of the run")
    folder: Path = parser.parse_args().folder
    truth = json.loads(TRUTH.read_text(encoding="utf-8"))
    models = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    if models.keys() != truth.keys():
        print(f"missing: {sorted(truth.keys() - models.keys())}, not asked for: {sorted(models.keys() - truth.keys())}")
        return 1
    found = {name: [model["intercept"], *model["coefficients"].values()] for name, model in models.items()}
    worst = max(abs(a - b) for name in truth for a, b in zip(found[name], truth[name], strict=True))
    print(f"{len(models)} models; the coefficient farthest from the truth is off by {worst:.2f}")
    return 0 if worst < TOLERANCE else 1


if __name__ == "__main__":
    raise SystemExit(main())
