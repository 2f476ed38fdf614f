"""Turns messages into vectors of length 1: word counts, weighted by how rare a word is, and projected to 24 numbers."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer

vectorizer = CountVectorizer()
projection = np.zeros((0, 0), dtype=np.float32)  # a row of numbers for each word


def init() -> None:
    """Called once per executor: the encoder is arrays in an .npz, which are read without pickle."""
    global vectorizer, projection  # noqa: PLW0603  # what the script holds between calls
    parser = argparse.ArgumentParser()
    parser.add_argument("--encoder", type=Path, required=True)
    with np.load(parser.parse_args().encoder, allow_pickle=False) as stored:
        vectorizer = CountVectorizer(vocabulary=stored["words"].tolist())
        projection = stored["projection"]


def run(mini_batch: pd.DataFrame) -> pd.DataFrame:
    """One row of output per message; the vector is a list of 32-bit floats."""
    counts = vectorizer.transform(mini_batch["text"])
    vectors = np.asarray(counts @ projection, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)  # a message of unknown words only is all zeros
    return pd.DataFrame({"id": mini_batch["id"], "embedding": list(vectors)})
