"""The files that hold rows, on this machine's file systems or behind an fsspec URL: listing, sizes, reading.

Everything goes through Python file objects, since Arrow's own paths cannot hold names that are not UTF-8.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from mpibatch.config.schema import Input
from mpibatch.datasets.base import FileIdentity
from mpibatch.datasets.file_identity import unchanged
from mpibatch.datasets.paths import find

_CODECS = {".gz": "gzip", ".tgz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
_BUFFER = 1 << 16  # bytes: small, since cutting looks at a few kilobytes around each boundary


def data_files(spec: Input) -> Iterator[str]:
    """Paths and URLs of an input's files, in order.

    In a folder, files and folders whose names begin with "_" or "." are left out: what Spark, Hive and Delta
    keep beside the data.
    """
    return (os.fsdecode(path) for path in find(spec, hidden=False))


def is_url(path: str) -> bool:
    return "://" in path


def open_file(path: str) -> BinaryIO:
    """A seekable file of bytes. Raises OSError."""
    if is_url(path):
        from mpibatch.datasets import url_io

        return url_io.open_file(path)
    return open(path, "rb", buffering=_BUFFER)


def file_size(path: str) -> int:
    """In bytes. Raises OSError."""
    if is_url(path):
        from mpibatch.datasets import url_io

        return url_io.file_size(path)
    return os.stat(path).st_size


@contextmanager
def open_planned(path: str, planned: FileIdentity | None) -> Iterator[BinaryIO]:
    """`open_file`. Raises LoadError unless the file is the planned one, when the block begins and when it ends."""
    with open_file(path) as file:
        if planned is None:
            yield file
        else:
            with unchanged(path, planned, file.fileno()):
                yield file


def read_range(path: str, first: int, last: int, planned: FileIdentity | None = None) -> bytes:
    """Bytes [first, last). Raises LoadError unless the file is the planned one, OSError also where it is shorter."""
    with open_planned(path, planned) as file:
        file.seek(first)
        data = file.read(last - first)
    if len(data) != last - first:
        raise OSError(f"the file ends at byte {first + len(data)}; was it changed since the plan was made?")
    return data


def compression(path: str) -> str | None:
    """The codec that a name's suffix tells, by pyarrow's name for it."""
    return _CODECS.get(os.path.splitext(path)[1].lower())


def read_compressed(path: str, codec: str, limit: int = -1, planned: FileIdentity | None = None) -> bytes:
    """The decompressed content, or its first `limit` bytes. Raises OSError, LoadError as `open_planned`."""
    import pyarrow as pa

    with open_planned(path, planned) as file:
        stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), codec)  # closing it would close `file`
        return cast(bytes, stream.read(None if limit < 0 else limit))
