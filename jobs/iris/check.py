"""How many of the held-out flowers the job got right.

    python jobs/iris/check.py OUTPUT_FILE

Exit status 1 where fewer than 93% of them are right, or where rows are missing, repeated or out of order.
"""

import argparse
import csv
from pathlib import Path

LABELS = Path(__file__).resolve().parent / "labels.csv"
NEEDED = 0.93


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the job's output with labels.csv.")
    parser.add_argument("output", type=Path, help="the job's output file")
    output: Path = parser.parse_args().output
    with LABELS.open(newline="", encoding="utf-8") as file:
        labels = list(csv.DictReader(file))
    with output.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if [row["flower"] for row in rows] != [label["flower"] for label in labels]:
        print(f"{len(rows)} rows for {len(labels)} flowers, or in another order")
        return 1
    held_out = [(row, label) for row, label in zip(rows, labels, strict=True) if label["split"] == "test"]
    right = sum(row["species"] == label["species"] for row, label in held_out)
    print(f"held-out accuracy: {right / len(held_out):.4f} ({right} of {len(held_out)})")
    return 0 if right >= NEEDED * len(held_out) else 1


if __name__ == "__main__":
    raise SystemExit(main())
