"""Tables whose columns have one type each, settled while planning: from a slice to what the script gets.

plan --> schema --dump_state--> executors: load(payload) = table(span), in those types --> DataFrame
"""

from abc import ABC, abstractmethod
from typing import Any

from mpibatch.datasets.schemas import dump_schema, load_schema, to_pandas
from mpibatch.datasets.table_base import FrameBatch, LoadErrorContext, Span, SpanDataset


class SettledTable(SpanDataset, ABC):
    """What all tables share.

    unit: what the two ends of a span count, for messages
    """

    unit = "bytes"
    _schema: Any

    @abstractmethod
    def table(self, span: Span) -> Any:
        """The rows of a span, in the settled types if there are such. Raises LoadError, without naming the place."""

    @property
    def schema(self) -> Any:
        """The settled schema, None before it is."""
        return self._schema

    def dump_state(self) -> bytes:
        return b"" if self._schema is None else dump_schema(self._schema)

    def load_state(self, state: bytes) -> None:
        self._schema = load_schema(state) if state else None

    def decode(self, payload: bytes) -> Any:
        """A slice as an Arrow table in the settled types. Raises LoadError."""
        span = self._span_codec.unpack(payload)
        with LoadErrorContext(span, self.unit):
            return self.table(span)

    def load(self, payload: bytes) -> FrameBatch:
        span = self._span_codec.unpack(payload)
        with LoadErrorContext(span, self.unit):
            table = self.table(span)
            return FrameBatch(to_pandas(table, table.schema if self._schema is None else self._schema))
