"""Arrow columns out of NumPy arrays and bytes, without pandas.

`pa.array` and `Array.to_numpy` import pandas where it is installed, which costs a run some 0.3 s and 40 MB on rank 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def numbers(values: "NDArray[Any]") -> pa.Array:
    """Fixed-width numbers, none missing."""
    data = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(data.dtype), len(data), [None, pa.py_buffer(data)])


def texts(values: Sequence[bytes], type: pa.DataType) -> pa.Array:
    """Strings or bytes, none missing; `type` is a string or binary type, or its large kind."""
    large = type in (pa.large_binary(), pa.large_string())
    ends = np.zeros(len(values) + 1, dtype=np.int64 if large else np.int32)
    np.cumsum([len(value) for value in values], out=ends[1:])
    return pa.Array.from_buffers(type, len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))])


def to_numpy(column: pa.Array, dtype: type[np.generic]) -> "NDArray[Any]":
    """The numbers of a column as they lie in memory, not copied."""
    return np.frombuffer(column.buffers()[1], dtype=dtype)[column.offset : column.offset + len(column)]
