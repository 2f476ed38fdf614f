"""Whether the job says of each file what a plain loop says, and how much of it is right.

    python jobs/filetypes/check.py OUTPUT_FILE

Exit status 1 where a row is missing, out of order or another, or where fewer than 90% of the labels are right.
"""

import argparse
import csv
import runpy
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
NEEDED = 0.9


def plain_loop() -> pd.DataFrame:
    """The job without mpibatch: one file after another."""
    script = runpy.run_path(str(HERE / "identify.py"))
    script["init"]()
    tables: list[pd.DataFrame] = [script["run"]([str(path)]) for path in sorted((HERE / "data").iterdir())]
    return pd.concat(tables, ignore_index=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the job's output with a plain loop and with labels.csv.")
    parser.add_argument("output", type=Path, help="the job's output file")
    table, expected = pd.read_csv(parser.parse_args().output), plain_loop()
    if not table.drop(columns="score").equals(expected.drop(columns="score")):
        print(f"{len(table)} files, NOT as a plain loop says")
        return 1
    with (HERE / "labels.csv").open(newline="", encoding="utf-8") as file:
        labels = {row["file"]: row["label"] for row in csv.DictReader(file)}
    right = sum(labels[file] == label for file, label in zip(table["file"], table["label"], strict=True))
    print(f"{len(table)} files as a plain loop says, {right} of them right")
    return 0 if right >= NEEDED * len(labels) else 1


if __name__ == "__main__":
    raise SystemExit(main())
