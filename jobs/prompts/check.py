"""Whether the job completes prompts as a plain loop does, and how many of the answers are right.

    python jobs/prompts/check.py OUTPUT_FILE [--engine torch]

Exit status 1 where a completion is missing, out of order or another, or where fewer than 95% are right. The prompt that
does not fit into the model has none.
"""

import argparse
import csv
import json
import runpy
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
NEEDED = 0.95
MAX_TOKENS = 8  # as in job.yaml


def plain_loop(engine: str) -> list[dict[str, str]]:
    """The job without mpibatch: one prompt after another."""
    sys.path.insert(0, str(HERE))
    sys.argv[1:] = ["--engine", engine, "--model", str(HERE / "model"), "--max-tokens", str(MAX_TOKENS)]
    script = runpy.run_path(str(HERE / "complete.py"))
    script["init"]()
    rows = []
    for line in (HERE / "data" / "prompts.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            rows += script["run"](pd.DataFrame([json.loads(line)]))
        except ValueError as error:
            print(f"left out: {error}")
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the job's output with a plain loop and with answers.csv.")
    parser.add_argument("output", type=Path, help="the job's output file")
    parser.add_argument("--engine", default="torch")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.output.read_text(encoding="utf-8").splitlines()]
    if rows != plain_loop(options.engine):
        print(f"{len(rows)} completions, NOT those of a plain loop")
        return 1
    with (HERE / "answers.csv").open(newline="", encoding="utf-8") as file:
        answers = {row["id"]: row["answer"] for row in csv.DictReader(file)}
    right = sum(row["completion"].strip().rstrip(".") == answers[row["id"]] for row in rows)
    print(f"{len(rows)} completions as in a plain loop, {right} of them right")
    return 0 if right >= NEEDED * len(rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
