"""How many of the held-out digits the job got right.

    python jobs/digits/check.py OUTPUT_FILE

Reads the job's output (lines "<file name>: <digit>") beside labels.csv, and counts only the scans whose split
is "test", which the network never saw. Exit status 1 where fewer than 97% of them are right; a scan that is
missing from the output counts as wrong, and one that is there twice is an error of its own.
"""

import argparse
import csv
import sys
from pathlib import Path

LABELS = Path(__file__).resolve().parent / "labels.csv"
NEEDED = 0.97


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the job's output with labels.csv.")
    parser.add_argument("output", type=Path, help="the job's output file")
    parser.add_argument("--labels", type=Path, default=LABELS)
    arguments = parser.parse_args()

    with arguments.labels.open(newline="", encoding="utf-8") as file:
        held_out = {row["file"]: row["label"] for row in csv.DictReader(file) if row["split"] == "test"}
    lines = [line.rpartition(": ") for line in arguments.output.read_text(encoding="utf-8").splitlines()]
    predicted = {name: digit for name, _, digit in lines}

    total = len(held_out)
    missing = len(held_out.keys() - predicted.keys())
    right = sum(predicted.get(name) == label for name, label in held_out.items())
    print(f"held-out accuracy: {right / total:.4f} ({right} of {total}, {missing} missing)")
    if len(predicted) < len(lines):
        print(f"{len(lines) - len(predicted)} lines are repeated", file=sys.stderr)
        return 1
    return 0 if right >= NEEDED * total else 1


if __name__ == "__main__":
    sys.exit(main())
