"""The short form of differential.py: what libraries write is read, and what is returned is written, as it was."""

from collections import Counter

import pytest

from tests.formats.differential import run_example


@pytest.mark.parametrize("first", [0, 50, 100, 150])
def test_values_and_types_are_those_that_were_written(first: int) -> None:
    """Fifty random tables each; nearly all are read, and nearly all outputs made."""
    counts: Counter[str] = Counter()
    for seed in range(first, first + 50):
        run_example(seed, counts)
    assert counts["reading failed in words"] <= 5
    assert counts["outputs refused in words"] <= counts["outputs read back"] / 10
