"""Rows chosen of a table: the first ones, those of which a condition holds, a random share.

    dataset["age"] > 30 --> Condition --> Where --of(DataFrame)--> fewer rows --write_once--> a Parquet file

An input of a step is whole files; so chosen rows are written, under a name that their bytes give.
"""

import hashlib
import io
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mpibatch.errors import WorkspaceError

if TYPE_CHECKING:
    import pandas as pd


class Condition:
    """What holds of a row or does not; & | ~ combine conditions."""

    def __init__(self, holds: "Callable[[pd.DataFrame], pd.Series[Any]]") -> None:
        self.holds = holds

    def __and__(self, other: "Condition") -> "Condition":
        return Condition(lambda frame: self.holds(frame) & other.holds(frame))

    def __or__(self, other: "Condition") -> "Condition":
        return Condition(lambda frame: self.holds(frame) | other.holds(frame))

    def __invert__(self) -> "Condition":
        return Condition(lambda frame: ~self.holds(frame))

    def __bool__(self) -> bool:
        raise WorkspaceError(
            "a condition on rows is neither true nor false: combine conditions with & | ~, in parentheses"
        )


class Column:
    """A column of a dataset, to be compared with a value or with another column."""

    __hash__ = None  # type: ignore[assignment]  # == makes a condition

    def __init__(self, name: str) -> None:
        self._name = name

    def _compare(self, compare: Callable[[Any, Any], Any], other: object) -> Condition:
        return Condition(lambda frame: compare(self.of(frame), other.of(frame) if isinstance(other, Column) else other))

    def of(self, frame: "pd.DataFrame") -> Any:
        """Raises WorkspaceError where there is no such column."""
        if self._name not in frame.columns:
            raise WorkspaceError(f"there is no column {self._name!r} to filter by; there are {list(frame.columns)}")
        return frame[self._name]

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compare(operator.eq, other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compare(operator.ne, other)

    def __lt__(self, other: object) -> Condition:
        return self._compare(operator.lt, other)

    def __le__(self, other: object) -> Condition:
        return self._compare(operator.le, other)

    def __gt__(self, other: object) -> Condition:
        return self._compare(operator.gt, other)

    def __ge__(self, other: object) -> Condition:
        return self._compare(operator.ge, other)

    def is_null(self) -> Condition:
        return Condition(lambda frame: self.of(frame).isna())


class Choice(Protocol):
    """rows_needed: how many of the first rows tell it; None for all."""

    @property
    def rows_needed(self) -> int | None: ...

    def of(self, frame: "pd.DataFrame") -> "pd.DataFrame": ...


@dataclass(frozen=True)
class First:
    """The first `count` rows."""

    count: int

    @property
    def rows_needed(self) -> int | None:
        return self.count

    def of(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        return frame.head(self.count)


@dataclass(frozen=True)
class Where:
    """The rows of which a condition holds."""

    condition: Condition
    rows_needed = None

    def of(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        if not isinstance(self.condition, Condition):
            raise WorkspaceError('filter takes a condition on columns, such as dataset["age"] > 30')
        return frame[self.condition.holds(frame)]


@dataclass(frozen=True)
class Share:
    """Each row with probability `percentage`; of_others: the rows that this leaves."""

    percentage: float
    seed: int
    of_others: bool
    rows_needed = None

    def of(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        import numpy as np

        chosen = np.random.default_rng(self.seed).random(len(frame)) < self.percentage
        share: pd.DataFrame = frame.loc[chosen != self.of_others]
        return share


def write_once(frame: "pd.DataFrame", address: str) -> str:
    """The rows as a Parquet file below a datastore's address; the same rows are the same file. Where it is."""
    import fsspec

    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    content = buffer.getvalue()
    path = f"{address.rstrip('/')}/chosen-rows/{hashlib.sha256(content).hexdigest()[:32]}.parquet"
    files, inside = fsspec.core.url_to_fs(path)
    if not files.exists(inside):
        with fsspec.open(path, "wb", auto_mkdir=True) as file:
            file.write(content)
    return path
