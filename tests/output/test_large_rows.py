"""Large rows are encoded a piece at a time, and to the same bytes as small ones."""

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.config.schema import RowFormat
from mpibatch.output import csv, open_encoder, pieces

ENCODERS = [open_encoder(f"out{suffix}", RowFormat()) for suffix in (".txt", ".csv", ".jsonl")]
rows = st.lists(
    st.text(max_size=9) | st.sampled_from(["two\nlines", "cr\r", 'say "x"', "a,b", "", "\udcff", "\U0001f600"])
)
tables = [
    pd.DataFrame({"n": range(5), "text": ["a", 'say "x"', "two\nlines", "", "é"]}),
    pd.DataFrame({"text": ["a", None, "b"]}),
    np.arange(12).reshape(4, 3),
    [{"a": 1, "b": "x"}, {"b": "y"}] * 5,
]


def small_pieces(patch: pytest.MonkeyPatch) -> None:
    """As if all rows were large, and so that there are several pieces."""
    patch.setattr(pieces, "LARGE_BYTES", -1)
    patch.setattr(csv, "LARGE_BYTES", 1)
    patch.setattr(pieces, "PIECE_CHARACTERS", 4)
    patch.setattr(pieces, "PIECE_LINES", 2)
    patch.setattr(csv, "PIECE_LINES", 2)


@given(rows)
def test_lists_of_text(returned: list[str]) -> None:
    expected = [encoder.encode(returned) for encoder in ENCODERS]
    with pytest.MonkeyPatch.context() as patch:
        small_pieces(patch)
        assert [encoder.encode(returned) for encoder in ENCODERS] == expected


@pytest.mark.parametrize("returned", [*tables, ["text", 1, None]], ids=str)
def test_other_values(returned: Any) -> None:
    expected = [encoder.encode(returned) for encoder in ENCODERS]
    with pytest.MonkeyPatch.context() as patch:
        small_pieces(patch)
        assert [encoder.encode(returned) for encoder in ENCODERS] == expected


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("width", [200, 100_000])
def test_encoding_takes_little_more_memory_than_what_it_gives(encoder: Any, width: int) -> None:
    """Text that was joined first, and then ended, took twice as much again."""
    returned = [f"{number} ".ljust(width, "x") for number in range(20_000_000 // width)]
    returned[-1] += "\U0001f600"  # a single one would make all of a joined text four bytes a character
    tracemalloc.start()
    try:
        data = encoder.encode(returned).data
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.5 * len(data) + (8 << 20)
