"""A file of row groups as `finalize` makes it, and as a run does that writes it group by group."""

from collections.abc import Sequence
from pathlib import Path

from mpibatch.output.base import FinalizeFormat, GroupFormat


def finalized(writer: FinalizeFormat, path: Path, schema: bytes, parts: Sequence[tuple[bytes, bytes]]) -> None:
    """`finalize`, and a format that is written in groups makes the same bytes that way."""
    writer.finalize(path, schema, parts)
    if isinstance(writer, GroupFormat):
        assert in_groups(writer, path, schema, parts) == path.read_bytes()


def in_groups(writer: GroupFormat, path: Path, schema: bytes, parts: Sequence[tuple[bytes, bytes]]) -> bytes:
    rows, file = writer.collect(), bytearray()
    footers: list[bytes] = []
    for of_batch, data in parts:
        rows.add(of_batch, data)
        if rows.is_full:
            footers.append(writer.encode_group(path, schema, rows, len(file), False, file.extend))
    if rows.rows:
        footers.append(writer.encode_group(path, schema, rows, len(file), True, file.extend))
    return bytes(file) + writer.encode_end(path, schema, footers)
