"""Arrays without dimensions inside what run() returns are scalars in every output format, whichever framework's."""

import json
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy
import pyarrow as pa
import pytest

from mpibatch.config.schema import RowFormat
from mpibatch.output import open_encoder

Point = namedtuple("Point", "label score")


class Tensor:
    """A tensor as torch's, TensorFlow's and JAX's are from outside."""

    def __init__(self, value: Any, readable: bool = True) -> None:
        self.array = numpy.asarray(value)
        self.readable = readable

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def ndim(self) -> int:
        return self.array.ndim

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if not self.readable:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self.array

    def tolist(self) -> Any:
        return self.array.tolist()

    def __str__(self) -> str:
        return f"tensor({self.array})"

    __repr__ = __str__


class NoListTensor(Tensor):
    """TensorFlow's has no tolist()."""

    tolist = None  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        if name == "tolist":
            raise AttributeError(name)
        return super().__getattribute__(name)


KINDS: dict[str, Callable[[Any], Any]] = {
    "numpy": numpy.asarray,
    "torch": Tensor,
    "torch with a gradient": lambda value: Tensor(value, readable=False),
    "tensorflow": NoListTensor,
}


def encoded(name: str, returned: Any) -> str:
    return open_encoder(name, RowFormat()).encode(returned).data.decode()


def parquet(returned: Any) -> list[dict[str, Any]]:
    found = open_encoder("o.parquet", RowFormat()).encode(returned)
    batch = pa.ipc.read_record_batch(pa.py_buffer(found.data), pa.ipc.read_schema(pa.py_buffer(found.schema)))
    rows: list[dict[str, Any]] = batch.to_pylist()
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_list(kind: str) -> None:
    """`list(model(x).argmax(1))` wrote "tensor(3)"."""
    make = KINDS[kind]
    returned = [make(3), make(4)]
    assert encoded("o.txt", returned) == encoded("o.csv", returned) == encoded("o.jsonl", returned) == "3\n4\n"
    assert parquet(returned) == [{"value": 3}, {"value": 4}]


@pytest.mark.parametrize("kind", KINDS)
def test_in_tuples_dicts_and_deeper(kind: str) -> None:
    make = KINDS[kind]
    assert encoded("o.txt", [(make(3), make(0.5))]) == "(3, 0.5)\n"
    assert encoded("o.csv", [(make(3), make(0.5))]) == "3,0.5\n"
    assert encoded("o.csv", [{"label": make(3), "box": [make(1), make(2)]}]) == '3,"[1, 2]"\n'
    assert encoded("o.csv", [Point(make(3), make(True))]) == "3,true\n"
    assert json.loads(encoded("o.jsonl", [{"label": make(3), "box": [make(1), make(2)]}])) == {
        "label": 3,
        "box": [1, 2],
    }
    assert parquet([{"label": make(3), "score": make(0.5)}]) == [{"label": 3, "score": 0.5}]
    assert parquet([(make(3), make("x"))]) == [{"0": 3, "1": "x"}]


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_with_dimensions_are_rows(kind: str) -> None:
    make = KINDS[kind]
    assert encoded("o.csv", [make([1, 2]), make([3, 4])]) == "1,2\n3,4\n"
    assert encoded("o.txt", [make([1, 2])]) == "[1, 2]\n"
    assert encoded("o.jsonl", [make([1, 2])]) == "[1, 2]\n"
    assert parquet([make([1, 2])]) == [{"0": 1, "1": 2}]


def test_a_float32_keeps_its_digits() -> None:
    assert encoded("o.csv", [Tensor(numpy.float32(0.1))]) == "0.1\n"
    assert encoded("o.txt", [Tensor(numpy.float32(0.1))]) == "0.1\n"
