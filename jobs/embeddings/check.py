"""Whether the vectors are those of a plain loop, and whether neighbours among them are about the same.

    python jobs/embeddings/check.py OUTPUT_FILE

Exit status 1 where a row is missing, out of order or another, or where fewer than 95% of the messages that the encoder
has not seen have a nearest neighbour of their own topic.
"""

import argparse
import csv
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
NEEDED = 0.95


def plain_loop() -> pd.DataFrame:
    """The job without mpibatch: one message after another."""
    sys.argv[1:] = ["--encoder", str(HERE / "encoder.npz")]
    script = runpy.run_path(str(HERE / "embed.py"))
    script["init"]()
    with (HERE / "data" / "messages.jsonl").open(encoding="utf-8") as file:
        tables: list[pd.DataFrame] = [script["run"](pd.DataFrame([json.loads(line)])) for line in file]
    return pd.concat(tables, ignore_index=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the job's output with a plain loop.")
    parser.add_argument("output", type=Path, help="the job's output file")
    table = pd.read_parquet(parser.parse_args().output)
    expected = plain_loop()
    vectors, loop = np.stack(table["embedding"].tolist()), np.stack(expected["embedding"].tolist())
    if table["id"].tolist() != expected["id"].tolist() or not np.allclose(vectors, loop, atol=1e-6):
        print(f"{len(table)} vectors, NOT those of a plain loop")
        return 1
    with (HERE / "topics.csv").open(newline="", encoding="utf-8") as file:
        labels = list(csv.DictReader(file))
    topics = np.array([label["topic"] for label in labels])
    unseen = np.array([label["split"] == "test" for label in labels])
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1)
    right = (topics[likeness.argmax(axis=1)] == topics)[unseen]
    print(
        f"{len(table)} vectors as in a plain loop; nearest neighbour of the same topic: {right.sum()} of {unseen.sum()}"
    )
    return 0 if right.mean() >= NEEDED else 1


if __name__ == "__main__":
    raise SystemExit(main())
