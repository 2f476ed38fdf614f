"""Compressed text outputs: the rows are those of the plain file, and the file may be cut after any mini-batch."""

import gzip
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from mpibatch.config.schema import RowFormat
from mpibatch.output import open_encoder, open_format
from mpibatch.output.base import AppendFormat


def plain(suffix: str, data: bytes) -> bytes:
    """As other programs read it."""
    if suffix == ".gz":
        return gzip.decompress(data)
    return bytes(pa.CompressedInputStream(pa.BufferReader(data), "zstd").read())


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("name", ["o.csv", "o.jsonl", "o.txt"])
def test_members_put_together_are_the_plain_file(name: str, suffix: str) -> None:
    """After every mini-batch, columns in another order included; the same rows are the same bytes."""
    returned: list[Any] = [
        [{"a": 1, "b": "x\n"}],
        pd.DataFrame({"b": ["y"] * 500, "a": range(500)}),
        [],
        [{"a": 5, "b": "\u20ac"}],
    ]
    files: dict[str, list[bytes]] = {}
    for file in (name, name + suffix):
        encoder, writer = open_encoder(file, RowFormat()), open_format(file, RowFormat())
        assert isinstance(writer, AppendFormat)
        declared, data, states = None, b"", []
        for value in returned:
            encoded = encoder.encode(value)
            assert encoder.encode(value) == encoded
            if encoded.rows:
                merged = writer.merge_schema(declared, encoded.schema)
                assert merged is not None
                data += b"" if declared is not None else writer.header(merged)
                declared = merged
                same = encoded.schema == declared
                data += encoded.data if same else writer.reorder(declared, encoded.schema, encoded.data)
            states.append(data)
        files[file] = states
    assert [plain(suffix, state) for state in files[name + suffix]] == files[name]
    assert len(files[name + suffix][1]) < len(files[name][1])


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_parts_of_an_isolated_mini_batch(suffix: str) -> None:
    encoder, same = open_encoder(f"o.csv{suffix}", RowFormat()), open_encoder("o.csv", RowFormat())
    parts: list[Any] = [[{"a": 1, "b": 2}], [], [{"b": 4, "a": 3}]]
    joined = encoder.join([encoder.encode(part) for part in parts])
    expected = same.join([same.encode(part) for part in parts])
    assert plain(suffix, joined.data) == expected.data
    assert (joined.rows, joined.schema) == (expected.rows, expected.schema)
    assert encoder.encode([]).data == b""
