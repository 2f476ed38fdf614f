"""How many of the held-out wines were given their grower: growers.csv of the score step --> OUT/report.md.

Exit status 1 where fewer than NEEDED of them were, or where rows are missing or out of order.
"""

import argparse
from pathlib import Path

import pandas as pd


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scored", type=Path, required=True)
    parser.add_argument("--growers", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--needed", type=float, required=True)
    options = parser.parse_args()
    scored, growers = pd.read_csv(options.scored), pd.read_csv(options.growers)
    if list(scored["wine"]) != list(growers["wine"]):
        print(f"{len(scored)} rows for {len(growers)} wines, or in another order")
        return 1
    test = growers["split"] == "test"
    table = pd.crosstab(growers["grower"][test], scored["grower"][test].rename("found"))
    right = float((growers["grower"] == scored["grower"])[test].mean())
    lines = [f"{right:.1%} of {int(test.sum())} held-out wines were given their grower.", "", "```", str(table), "```"]
    (options.out / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(lines[0])
    return 0 if right >= options.needed else 1


if __name__ == "__main__":
    raise SystemExit(main())
