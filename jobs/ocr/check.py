"""Whether the job reads what a plain loop reads, and how much of it is right.

    python jobs/ocr/check.py OUTPUT_FILE

Exit status 1 where a line is missing, out of order or another, or where fewer than 95% of the characters are right.
"""

import argparse
import json
import runpy
from difflib import SequenceMatcher
from pathlib import Path

HERE = Path(__file__).resolve().parent
NEEDED = 0.95


def plain_loop() -> list[dict[str, list[str]]]:
    """The job without mpibatch: one picture after another."""
    script = runpy.run_path(str(HERE / "read_text.py"))
    script["init"]()
    return [line for path in sorted((HERE / "data").glob("*.png")) for line in script["run"]([str(path)])]


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the job's output with a plain loop and with labels.jsonl.")
    parser.add_argument("output", type=Path, help="the job's output file")
    read = [json.loads(line) for line in parser.parse_args().output.read_text(encoding="utf-8").splitlines()]
    if [(line["picture"], line["text"]) for line in read] != [(line["picture"], line["text"]) for line in plain_loop()]:
        print(f"{len(read)} pictures, NOT as a plain loop reads them")
        return 1
    labels = [json.loads(line) for line in (HERE / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    pairs = [("".join(line["text"]), "".join(label["text"])) for line, label in zip(read, labels, strict=True)]
    pairs = [(text.replace(" ", ""), label.replace(" ", "")) for text, label in pairs]  # spaces are often missed
    matching = sum(block.size for pair in pairs for block in SequenceMatcher(None, *pair).get_matching_blocks())
    total = sum(len(label) for _, label in pairs)
    print(f"{len(read)} pictures as a plain loop reads them, {matching / total:.1%} of {total} characters right")
    return 0 if matching >= NEEDED * total else 1


if __name__ == "__main__":
    raise SystemExit(main())
