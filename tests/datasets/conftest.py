"""What the tests of every table format share: running an input through plan and load as a job would."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pandas as pd
import pytest

from mpibatch.config.schema import Input
from mpibatch.config.values import Size, Unit
from mpibatch.datasets import open_dataset
from mpibatch.datasets.base import LoadError
from mpibatch.types import Split

Batches = Callable[..., list[Any]]


def elsewhere(function: Callable[[Any], Any], things: Iterable[Any]) -> Iterator[Any]:
    """A `map` as other ranks would do it: nothing but what can be pickled travels."""
    for thing in things:
        far: Callable[[Any], Any] = pickle.loads(pickle.dumps(function))
        yield pickle.loads(pickle.dumps(far(pickle.loads(pickle.dumps(thing)))))


def run(
    spec: Input, size: int | None = None, unit: Unit = Unit.BYTES, keys: tuple[str, ...] = ()
) -> list[tuple[Split, Any]]:
    """Each slice with what an executor loads, or with the LoadError that it gets."""
    wanted = Size(size, unit) if size else None
    planner = open_dataset(spec, wanted, keys)
    splits = list(planner.plan(elsewhere))
    executor = open_dataset(spec, wanted, keys)
    executor.load_state(planner.dump_state())
    results: list[tuple[Split, Any]] = []
    for piece in splits:
        try:
            loaded = executor.load(piece.payload)
        except LoadError as error:
            results.append((piece, error))
        else:
            assert piece.items in (-1, loaded.items)
            results.append((piece, loaded.value))
    return results


@pytest.fixture
def batches() -> Batches:
    def load(spec: Input, size: int | None = None, unit: Unit = Unit.BYTES, keys: tuple[str, ...] = ()) -> list[Any]:
        values = [value for _, value in run(spec, size, unit, keys)]
        for value in values:
            if isinstance(value, LoadError):
                raise value
            if isinstance(value, pd.DataFrame):
                assert list(value.index) == list(range(len(value)))
        return values

    return load


@pytest.fixture
def outcomes() -> Callable[..., list[tuple[Split, Any]]]:
    return run
