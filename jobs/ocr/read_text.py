"""Reads the text on pictures with PaddleOCR's networks, which rapidocr-onnxruntime ships and runs without Paddle."""

import os
from pathlib import Path
from typing import Any

from rapidocr_onnxruntime import RapidOCR

engine: RapidOCR


def init() -> None:
    """Called once per executor: loads three networks, with as many threads as the executor owns cores."""
    global engine  # noqa: PLW0603  # what the script holds between calls
    engine = RapidOCR(intra_op_num_threads=int(os.environ.get("OMP_NUM_THREADS", "1")))


def run(mini_batch: list[str]) -> list[dict[str, Any]]:
    """One line of output per picture: the texts from top to bottom, and how sure the network is of each."""
    return [{"picture": Path(path).name, **_read(path)} for path in mini_batch]


def _read(path: str) -> dict[str, Any]:
    found, _ = engine(path)
    lines = sorted(found or [], key=lambda line: line[0][0][1])  # by the upper left corner of its box
    return {"text": [line[1] for line in lines], "score": [round(float(line[2]), 2) for line in lines]}
