"""Text formats compressed: .csv.gz, .jsonl.zst, ...; what other formats append, each piece by itself.

    executor:  rows of a mini-batch --compress--> a gzip member, or a Zstandard frame        rank 0: appends these

Members and frames put together are a file again, and a file that is cut back to the end of a mini-batch ends with a
whole one: a resume goes on with compressed files as with others. Executors compress, not rank 0. A mini-batch of few
rows compresses badly: larger ones make smaller files.
"""

import gzip
from typing import Any, Protocol, cast

from mpibatch.output.base import AppendFormat, Encoded, Encoder


class Codec(Protocol):
    """Whole members or frames."""

    def compress(self, data: bytes) -> bytes: ...

    def decompress(self, data: bytes) -> bytes:
        """Of several put together, too."""


class Gzip:
    """The same bytes for the same rows: no time and no name in it."""

    def compress(self, data: bytes) -> bytes:
        return gzip.compress(data, mtime=0)

    def decompress(self, data: bytes) -> bytes:
        return gzip.decompress(data)


class Zstandard:
    """By pyarrow."""

    def compress(self, data: bytes) -> bytes:
        import pyarrow as pa

        return cast(bytes, pa.Codec("zstd").compress(data, asbytes=True))

    def decompress(self, data: bytes) -> bytes:
        import pyarrow as pa

        return cast(bytes, pa.CompressedInputStream(pa.BufferReader(data), "zstd").read())


CODECS: dict[str, Codec] = {".gz": Gzip(), ".zst": Zstandard()}
"""By the suffix of the file's name."""


class CompressedEncoder:
    """The executor's half of a text format."""

    def __init__(self, encoder: Encoder, codec: Codec) -> None:
        self._encoder = encoder
        self._codec = codec

    def encode(self, returned: Any) -> Encoded:
        return self._compressed(self._encoder.encode(returned))

    def join(self, parts: list[Encoded]) -> Encoded:
        plain = [part._replace(data=self._codec.decompress(part.data)) for part in parts]
        return self._compressed(self._encoder.join(plain))

    def _compressed(self, encoded: Encoded) -> Encoded:
        return encoded._replace(data=self._codec.compress(encoded.data) if encoded.data else b"")


class CompressedFormat:
    """Rank 0's half of it."""

    def __init__(self, format: AppendFormat, codec: Codec) -> None:
        self._format = format
        self._codec = codec

    def header(self, schema: bytes) -> bytes:
        header = self._format.header(schema)
        return self._codec.compress(header) if header else b""

    def merge_schema(self, declared: bytes | None, schema: bytes) -> bytes | None:
        return self._format.merge_schema(declared, schema)

    def explain_mismatch(self, declared: bytes, schema: bytes) -> str:
        return self._format.explain_mismatch(declared, schema)

    def reorder(self, declared: bytes, schema: bytes, data: bytes) -> bytes:
        return self._codec.compress(self._format.reorder(declared, schema, self._codec.decompress(data)))
