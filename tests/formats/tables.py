"""Random tables of all types, and what writes them: for differential.py."""

import datetime as dt
import decimal
import gzip
import io
import json
import random
from collections.abc import Callable
from typing import Any

import pandas as pd
import polars
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from pyarrow import orc

BIG = 2**53
TEXTS = [
    "", "a", "NA", "null", "nan", "true", "01", "0x1F", "1e5", " x ", 'q"q', '"', "a,b", "l\nm", "l\r\nm",
    "\u20ac\U0001f600", "-", "#c", "\\", "2020-01-01", "1.10", "12345678901234567890123", "it's", "\t",
]  # fmt: skip

Make = Callable[[random.Random], Any]
NUMBERS: dict[str, tuple[pa.DataType, Make]] = {
    "small": (pa.int64(), lambda r: r.randint(-9, 9)),
    "big": (pa.int64(), lambda r: r.choice([-1, 1]) * (BIG + r.randint(0, 99))),
    "byte": (pa.int8(), lambda r: r.randint(-128, 127)),
    "unsigned": (pa.uint64(), lambda r: 2**64 - 1 - r.randint(0, 99)),
    "mixed": (pa.uint64(), lambda r: r.choice([r.randint(0, 9), 2**63 + r.randint(0, 99)])),
    "float": (pa.float64(), lambda r: r.choice([r.uniform(-1, 1), float(r.randint(-9, 9)), 1e300, 1e-300, 0.1])),
    "single": (pa.float32(), lambda r: r.choice([0.5, -1.25, 3.0])),
    "money": (pa.decimal128(12, 2), lambda r: decimal.Decimal(r.randint(-99999, 99999)) / 100),
    "huge": (pa.decimal128(38, 0), lambda r: decimal.Decimal(10**30 + r.randint(0, 9))),
}
PLAIN: dict[str, tuple[pa.DataType, Make]] = {
    **NUMBERS,
    "flag": (pa.bool_(), lambda r: r.random() < 0.5),
    "text": (pa.string(), lambda r: r.choice(TEXTS)),
    "word": (pa.string(), lambda r: r.choice(["x", "y", "zz"])),
    "zip": (pa.string(), lambda r: f"{r.randint(0, 999):05}"),
    "second": (pa.timestamp("s"), lambda r: dt.datetime(2020, 1, r.randint(1, 28), r.randint(0, 23))),
    "micro": (pa.timestamp("us"), lambda r: dt.datetime(2020, 1, 1, 0, 0, 0, r.randint(0, 999_999))),
    "zoned": (pa.timestamp("us", "UTC"), lambda r: dt.datetime(2020, 1, r.randint(1, 28), tzinfo=dt.UTC)),
    "day": (pa.date32(), lambda r: dt.date(2020, 1, r.randint(1, 28))),
}
NESTED: dict[str, tuple[pa.DataType, Make]] = {
    "far": (pa.timestamp("us"), lambda r: dt.datetime(r.choice([1, 1500, 2020, 9999]), 1, 1)),
    "nano": (pa.timestamp("ns"), lambda r: 1_600_000_000_000_000_000 + r.randint(0, 999)),
    "hour": (
        pa.timestamp("us", "America/New_York"),
        lambda r: dt.datetime(2020, 11, 1, r.randint(4, 7), tzinfo=dt.UTC),
    ),
    "clock": (pa.time64("us"), lambda r: dt.time(r.randint(0, 23), r.randint(0, 59), 1, r.randint(0, 999))),
    "span": (pa.duration("us"), lambda r: dt.timedelta(days=r.randint(-9, 9), microseconds=r.randint(0, 999))),
    "bytes": (pa.binary(), lambda r: bytes(r.randrange(256) for _ in range(3))),
    "numbers": (pa.list_(pa.int64()), lambda r: [r.choice([None, 1, BIG + 1]) for _ in range(r.randint(0, 3))]),
    "words": (pa.list_(pa.string()), lambda r: [r.choice(TEXTS) for _ in range(r.randint(0, 3))]),
    "struct": (
        pa.struct([("a", pa.int64()), ("b", pa.string())]),
        lambda r: {"a": r.choice([None, 1, BIG + 1]), "b": r.choice(["x", None])},
    ),
    "category": (pa.dictionary(pa.int32(), pa.string()), lambda r: r.choice(["u", "v", "NA"])),
}


def random_table(source: random.Random, kinds: dict[str, tuple[pa.DataType, Make]]) -> pa.Table:
    """Up to 30 rows of one to five columns, some with nulls, some with nothing else."""
    rows = source.choice([0, 1, 2, 30, source.randint(3, 30)])
    columns = {}
    for at in range(source.randint(1, 5)):
        kind, make = kinds[source.choice(list(kinds))]
        missing = source.choice([0, 0, 0.3, 1]) if at else 0
        values = [None if source.random() < missing else make(source) for _ in range(rows)]
        columns[f"c{at}"] = pa.array(values, kind)
    return pa.table(columns)


def _bytes(write: Callable[[Any], Any]) -> bytes:
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


def _ipc(table: pa.Table, new: Callable[..., Any], rows: int) -> bytes:
    sink = pa.BufferOutputStream()
    with new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return bytes(sink.getvalue())


def _json(value: Any) -> Any:
    return (
        str(value)
        if isinstance(value, dt.date | dt.time | dt.timedelta)
        else int(value)
        if value == value.to_integral()
        else float(value)
    )


def _json_lines(table: pa.Table) -> bytes:
    return "".join(json.dumps(row, default=_json) + "\n" for row in table.to_pylist()).encode()


def _nullable(table: pa.Table) -> pd.DataFrame:
    """pandas' own nullable integers, which its metadata in the file tells of."""
    types = {
        pa.int64(): pd.Int64Dtype(),
        pa.int8(): pd.Int8Dtype(),
        pa.uint64(): pd.UInt64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    frame: pd.DataFrame = table.to_pandas(types_mapper=types.get)
    return frame


Write = Callable[[pa.Table], bytes]
WRITERS: dict[str, dict[str, Write]] = {
    "csv": {
        "pandas": lambda table: table.to_pandas(integer_object_nulls=True).to_csv(index=False).encode(),
        "pandas, crlf": lambda table: (
            table.to_pandas(integer_object_nulls=True).to_csv(index=False, lineterminator="\r\n").encode()
        ),
        "pyarrow": lambda table: _bytes(lambda sink: arrow_csv.write_csv(table, sink)),
        "polars": lambda table: polars.from_arrow(table).write_csv().encode(),  # type: ignore[union-attr]
    },
    "jsonl": {
        "json": _json_lines,
        "polars": lambda table: polars.from_arrow(table).write_ndjson().encode(),  # type: ignore[union-attr]
    },
    "parquet": {
        "pandas": lambda table: _bytes(lambda sink: table.to_pandas().to_parquet(sink, row_group_size=7)),
        "pandas, nullable": lambda table: _bytes(lambda sink: _nullable(table).to_parquet(sink)),
        "pyarrow": lambda table: _bytes(lambda sink: pq.write_table(table, sink, row_group_size=5)),
        "pyarrow, no statistics": lambda table: _bytes(
            lambda sink: pq.write_table(table, sink, write_statistics=False)
        ),
        "polars": lambda table: _bytes(lambda sink: polars.from_arrow(table).write_parquet(sink)),  # type: ignore[union-attr]
    },
    "arrow": {
        "pandas": lambda table: _bytes(lambda sink: table.to_pandas().to_feather(sink)),
        "pyarrow": lambda table: _ipc(table, pa.ipc.new_file, 4),
        "pyarrow, stream": lambda table: _ipc(table, pa.ipc.new_stream, 4),
        "polars": lambda table: _bytes(lambda sink: polars.from_arrow(table).write_ipc(sink, compression="zstd")),  # type: ignore[union-attr]
    },
    "orc": {"pyarrow": lambda table: _bytes(lambda sink: orc.write_table(table, sink, stripe_size=1))},
}
KINDS = {"csv": PLAIN, "jsonl": PLAIN, **{kind: {**PLAIN, **NESTED} for kind in ("parquet", "arrow", "orc")}}


def compressed(data: bytes, suffix: str) -> bytes:
    """As a file of this name holds it."""
    if suffix == ".gz":
        return gzip.compress(data)
    return bytes(pa.Codec("zstd").compress(data, asbytes=True)) if suffix == ".zst" else data
