"""Columns without pandas: the same as pyarrow's own."""

import numpy as np
import pyarrow as pa
import pytest

from mpibatch.arrow import numbers, texts, to_numpy


def test_numbers_there_and_back() -> None:
    table = np.array([(1, 2.5), (3, -1.0)], dtype=[("n", "<i8"), ("x", "<f4")])
    for name in ("n", "x"):
        assert numbers(table[name]).to_pylist() == table[name].tolist()
    assert to_numpy(numbers(np.arange(5)).slice(2), np.int64).tolist() == [2, 3, 4]


@pytest.mark.parametrize("type", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_texts(type: pa.DataType) -> None:
    column = texts([b"a", b"", "ä".encode()], type)
    column.validate(full=True)
    assert column.cast(pa.large_binary()).to_pylist() == [b"a", b"", "ä".encode()]
    assert texts([], type).to_pylist() == []
