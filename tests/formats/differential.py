"""Random tables, written by others, read in mini-batches, returned as they are and written by us: the same values?

    python -m tests.formats.differential [--examples 2000] [--seed 0]

One example: a table of random types, values and nulls; a format and a library that writes it, into one or several files
(of CSV and JSON lines some compressed); mini-batches of a random size. Then

- every cell of every mini-batch means what was written, in the order of the rows (of CSV its text, as pandas reads it
  with `dtype=str`); no digit is lost; all mini-batches have the same types, those of typed files are pandas' own
- or the mini-batch fails in words (LoadError, InputError); anything else that is raised is a fault
- the mini-batches, encoded and assembled in every output format, read back as they were, or are refused in words
"""

import argparse
import csv
import gzip
import io
import json
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from mpibatch.arrow import plain_type
from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input, RowFormat
from mpibatch.config.values import Size, Unit
from mpibatch.datasets import open_dataset
from mpibatch.datasets.base import LoadError
from mpibatch.errors import InputError
from mpibatch.output import open_encoder, open_format
from mpibatch.output.base import AppendFormat, InvalidReturn
from tests.formats.meaning import Same, means, means_text
from tests.formats.tables import KINDS, WRITERS, compressed, random_table
from tests.output.grouped import finalized

OUTPUTS = ("o.csv", "o.csv.gz", "o.jsonl", "o.jsonl.zst", "o.parquet", "o.arrow")


@dataclass
class Example:
    """One table in files, and how it is cut."""

    kind: str
    library: str
    table: pa.Table
    files: dict[str, bytes]
    size: Size | None
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        kinds = ", ".join(
            f"{name}: {kind}" for name, kind in zip(self.table.column_names, self.table.schema.types, strict=True)
        )
        return f"{self.kind} by {self.library}, {len(self.table)} rows in {list(self.files)}, {self.size}, {kinds}"


def random_example(seed: int) -> Example:
    """The same for the same seed."""
    source = random.Random(seed)
    while True:
        kind = source.choice(list(WRITERS))
        library = source.choice(list(WRITERS[kind]))
        table = random_table(source, KINDS[kind])
        cuts = sorted(source.randint(0, len(table)) for _ in range(source.choice([0, 0, 1, 3])))
        files = {}
        try:
            for number, (first, last) in enumerate(zip([0, *cuts], [*cuts, len(table)], strict=True)):
                suffix = source.choice(["", "", ".gz", ".zst"]) if kind in ("csv", "jsonl") else ""
                data = WRITERS[kind][library](table.slice(first, last - first))
                files[f"{number}.{kind}{suffix}"] = compressed(data, suffix)
        except Exception:  # what this library cannot write
            continue
        sizes = [None, Size(source.randint(1, 400), Unit.BYTES), Size(source.randint(1, 12), Unit.ROWS)]
        return Example(kind, library, table, files, source.choice(sizes))


# What was written


def written_rows(example: Example, folder: Path) -> list[list[Any]]:
    """Cell by cell: CSV's texts, JSON's values, the table's own values."""
    if example.kind == "csv":
        texts = [io.StringIO(text_of(folder / name), newline="") for name in example.files]
        frames = [pd.read_csv(text, dtype=str, keep_default_na=False) for text in texts]
        return [list(row) for frame in frames for row in frame.itertuples(index=False)]
    if example.kind == "jsonl":
        names = example.table.column_names
        lines = [line for name in example.files for line in text_of(folder / name).split("\n") if line]
        return [[json.loads(line).get(name) for name in names] for line in lines]
    return [list(row.values()) for name in example.files for row in typed_file(folder / name).to_pylist()]


def typed_file(path: Path) -> pa.Table:
    """As pyarrow reads it, without pandas' index."""
    if path.suffix == ".arrow":
        is_file = path.read_bytes().startswith(b"ARROW1")
        return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(path.read_bytes()).read_all()
    return orc.read_table(path) if path.suffix == ".orc" else pq.read_table(path)


def text_of(path: Path) -> str:
    """The text of a file, decompressed."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data).decode()
    return (
        pa.CompressedInputStream(pa.BufferReader(data), "zstd").read().decode()
        if path.suffix == ".zst"
        else data.decode()
    )


# Reading


def read(example: Example, folder: Path) -> tuple[list[pd.DataFrame], list[str]]:
    """The mini-batches, and the complaints of those that fail."""
    spec = Input("table", InputType(example.kind), (str(folder),), **example.options)
    planner = open_dataset(spec, example.size)
    try:
        splits = list(planner.plan(map))
    except InputError as error:
        return [], [str(error)]
    executor = open_dataset(spec, example.size)
    executor.load_state(planner.dump_state())
    frames, complaints = [], []
    for split in splits:
        try:
            frames.append(executor.load(split.payload).value)
        except LoadError as error:
            complaints.append(str(error))
    return frames, complaints


def check_reading(example: Example, folder: Path, frames: list[pd.DataFrame]) -> None:
    """Raises AssertionError for a cell that means something else."""
    expected = written_rows(example, folder)
    found = [list(row) for frame in frames for row in frame.itertuples(index=False, name=None)]
    assert len(found) == len(expected), f"{len(found)} rows instead of {len(expected)}"
    same = means_text if example.kind == "csv" else means
    for number, (row, cells) in enumerate(zip(expected, found, strict=True)):
        assert len(row) == len(cells), f"row {number} has {len(cells)} columns instead of {len(row)}"
        for at, (one, other) in enumerate(zip(row, cells, strict=True)):
            assert same(one, other), (
                f"row {number}, column {at}: {one!r} is read as {other!r} ({frames[0].dtypes.iloc[at]})"
            )
    kinds = {tuple((name, str(kind)) for name, kind in frame.dtypes.items()) for frame in frames}
    assert len(kinds) <= 1, f"mini-batches differ in types: {kinds}"
    if example.kind in ("parquet", "arrow") and frames:
        check_types([typed_file(folder / name) for name in example.files], frames[0])


def check_types(tables: list[pa.Table], frame: pd.DataFrame) -> None:
    """Those of pandas, but for integers with nulls that would lose digits, categories, and what is null in a file."""
    table = pa.concat_tables(tables, promote_options="permissive")
    fields = [  # pandas takes no lists of views
        field.with_type(plain_type(field.type)) if "list<" in str(field.type) else field for field in table.schema
    ]
    table = table.cast(pa.schema(fields, table.schema.metadata))
    whole = table.to_pandas(date_as_object=False)
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        ours, theirs = str(frame[name].dtype), str(whole[name].dtype)
        void = any(one.column(name).null_count == len(one) for one in tables)
        exact = pa.types.is_integer(kind) and table.column(name).null_count > 0
        assert ours == theirs or exact or void or theirs == "category", f"{name}, {kind}: {ours}, pandas has {theirs}"


# Writing


def check_writing(name: str, frames: list[pd.DataFrame], folder: Path) -> str:
    """Assembles what `run` returned unchanged; "" or why a mini-batch was refused. Raises AssertionError."""
    encoder, writer = open_encoder(name, RowFormat()), open_format(name, RowFormat())
    declared: bytes | None = None
    parts = []
    for frame in frames:
        try:
            encoded = encoder.encode(frame)
        except InvalidReturn as error:
            return str(error)
        if not encoded.rows:
            continue
        merged = writer.merge_schema(declared, encoded.schema)
        if merged is None:
            return writer.explain_mismatch(declared or b"", encoded.schema)
        declared = merged
        parts.append((encoded.schema, encoded.data))
    path = folder / name
    if isinstance(writer, AppendFormat):
        rows = [data if schema == declared else writer.reorder(declared or b"", schema, data) for schema, data in parts]
        path.write_bytes(writer.header(declared or b"") + b"".join(rows))
    else:
        finalized(writer, path, declared or b"", parts)
    if parts:
        check_output(path, frames)
    return ""


def check_output(path: Path, frames: list[pd.DataFrame]) -> None:
    names = [str(name) for name in frames[0].columns]
    returned = [list(row) for frame in frames for row in frame.itertuples(index=False, name=None)]
    same: Same = means
    if path.suffix in (".parquet", ".arrow"):
        writer = open_format(path.name, RowFormat())
        assert not isinstance(writer, AppendFormat)
        found = [list(row.values()) for row in writer.read(path).to_pylist()]
    elif ".jsonl" in path.name:
        found = [[json.loads(line)[name] for name in names] for line in text_of(path).split("\n") if line]
    else:
        head, *found = csv.reader(io.StringIO(text_of(path), newline=""))
        assert head == names
        same = means_text
    assert len(found) == len(returned), f"{path.name}: {len(found)} rows instead of {len(returned)}"
    for number, (row, cells) in enumerate(zip(found, returned, strict=True)):
        for at, (one, other) in enumerate(zip(row, cells, strict=True)):
            assert same(one, other), f"{path.name}: row {number}, {names[at]}: {other!r} is written as {one!r}"


def run_example(seed: int, counts: Counter[str]) -> None:
    """Raises AssertionError, or whatever else must not be raised, with the example in a note."""
    example = random_example(seed)
    counts[example.kind] += 1
    try:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made, "data")
            folder.mkdir()
            for name, data in example.files.items():
                (folder / name).write_bytes(data)
            frames, complaints = read(example, folder)
            if complaints:
                counts["reading failed in words"] += 1
                counts[f"  {complaints[0].split(': ', 1)[-1][:90]}"] += 1
                return
            check_reading(example, folder, frames)
            for name in OUTPUTS:
                refused = check_writing(name, frames, Path(made)) if frames else ""
                counts["outputs read back" if not refused else "outputs refused in words"] += 1
                if refused:
                    counts[f"  {refused[:90]}"] += 1
    except BaseException as error:
        error.add_note(f"seed {seed}: {example}\n{example.table.to_pylist()[:3]}")
        raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for seed in range(asked.seed, asked.seed + asked.examples):
        try:
            run_example(seed, counts)
        except Exception as error:
            faults[type(error).__name__] += 1
            if sum(faults.values()) <= 20:
                print(f"FAULT {type(error).__name__}: {error}\n  {' '.join(error.__notes__)[:700]}", flush=True)
    for name, count in counts.most_common():
        print(f"{count:6} {name}")
    print(f"{asked.examples} examples, {sum(faults.values())} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
