"""Tar archives of files, as WebDataset has them: a mini-batch is N members, and never crosses an archive.

    plan:   the headers of every archive (map) --> names, places and sizes of its files, N of them a payload
    load:   the members' bytes --> files in a temporary folder (TMPDIR), whose paths the script gets

A script for `files` is one for archives. The files have their names in the archive, below a folder of their own, and
are deleted when the mini-batch is. Links, folders and devices are no items. An archive may be compressed (.gz, .tgz,
.bz2, .zst, .lz4): it is then read from its start up to the members wanted, or on from those read last.
"""

import os
import shutil
import struct
import sys
import tarfile
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, BinaryIO

from mpibatch.config.schema import Input
from mpibatch.config.values import Size
from mpibatch.datasets.base import FailedItem, FileIdentity, LoadError
from mpibatch.datasets.file_identity import identity_of, unchanged
from mpibatch.datasets.file_io import compression, data_files, open_file
from mpibatch.datasets.files import DEFAULT_COUNT
from mpibatch.datasets.remote_files import LocalCopyBatch
from mpibatch.datasets.table_base import UNREADABLE, EmptyFiles, LoadErrorContext, Span, SpanCodec
from mpibatch.types import UNKNOWN, Map, Split

_PIECE = 1 << 20  # bytes copied at a time
_SPAN_BYTES = struct.Struct("<I")  # before the span, which the members follow


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive: its bytes are [first, first + size) of what the archive is without compression."""

    name: str
    first: int
    size: int

    def pack(self) -> bytes:
        return f"{self.first} {self.size} {self.name}".encode("utf-8", "surrogateescape")

    @staticmethod
    def unpack(data: bytes) -> "Member":
        first, size, name = data.decode("utf-8", "surrogateescape").split(" ", 2)
        return Member(name, int(first), int(size))


class TarDataset:
    """One input of type tar."""

    reads_data = True

    def __init__(self, spec: Input, size: Size | None) -> None:
        self._spec = spec
        self._count = size.value if size else DEFAULT_COUNT
        self._span_codec = SpanCodec(spec)
        self._empty = EmptyFiles(spec)
        self._open: Archive | None = None

    @property
    def warnings(self) -> Sequence[str]:
        return self._empty.warnings

    # Planning

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        paths = list(data_files(self._spec))
        for path, found in zip(paths, parallel_map(self.list_members, paths), strict=True):
            if found is None:
                yield Split(self._pack(Span(path, 0, 0, UNREADABLE), []))
                continue
            planned, members = found
            self._empty.seen(path, has_rows=bool(members))
            for first in range(0, len(members), self._count):
                group = members[first : first + self._count]
                yield Split(self._pack(Span(path, first, first + len(group), 0, planned), group), len(group))

    def list_members(self, path: str) -> tuple[FileIdentity | None, list[Member]] | None:
        """The files in an archive, in order; None if it cannot be read."""
        try:
            return identity_of(path), _members(path)
        except (OSError, LoadError):
            return None

    def dump_state(self) -> bytes:
        return b""

    def load_state(self, state: bytes) -> None:
        pass

    # Loading

    def load(self, payload: bytes) -> LocalCopyBatch:
        span, members = self._unpack(payload)
        folder = tempfile.mkdtemp(prefix="mpibatch-")
        loaded = LocalCopyBatch([])
        weakref.finalize(loaded, shutil.rmtree, folder, ignore_errors=True)
        with LoadErrorContext(span, "members"):
            for number, member in enumerate(_members(span.path) if span.flags & UNREADABLE else members):
                target = _target(folder, member.name)
                if os.path.lexists(target):  # of another member of that name
                    target = _target(os.path.join(folder, str(number)), member.name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target, "xb") as copy:
                    self._archive(span.path, member.first).copy(member, copy, span.planned)
                loaded.value.append(target)
        return loaded

    def _archive(self, path: str, first: int) -> "Archive":
        """An archive that has not been read beyond `first`."""
        if self._open is None or self._open.path != path or self._open.at > first:
            if self._open is not None:
                self._open.close()
            self._open = Archive(path)
        return self._open

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}

    def planned_files(self, payload: bytes) -> list[tuple[str, FileIdentity | None]]:
        span, _ = self._unpack(payload)
        return [(span.path, span.planned)]

    def accept_changes(self) -> None:
        self._span_codec.accept_changes()

    # Failures

    def failed_items(self, payload: bytes, lost: list[int] | None, items: int) -> list[FailedItem]:
        """Members as files in a folder that has the archive's name."""
        span, members = self._unpack(payload)
        if span.flags & UNREADABLE:
            return [FailedItem(span.path, count=items if lost is None else len(lost))]
        names = [f"{span.path}/{member.name}" for member in members]
        return [FailedItem(names[at]) for at in (range(len(names)) if lost is None else lost)]

    locate_items = failed_items

    def count_items(self, payload: bytes) -> int:
        span, members = self._unpack(payload)
        return UNKNOWN if span.flags & UNREADABLE else len(members)

    def _pack(self, span: Span, members: list[Member]) -> bytes:
        packed = self._span_codec.pack(span)
        return _SPAN_BYTES.pack(len(packed)) + packed + b"\0".join(member.pack() for member in members)

    def _unpack(self, payload: bytes) -> tuple[Span, list[Member]]:
        (length,) = _SPAN_BYTES.unpack_from(payload)
        end = _SPAN_BYTES.size + length
        members = [Member.unpack(data) for data in payload[end:].split(b"\0") if data]
        return self._span_codec.unpack(payload[_SPAN_BYTES.size : end]), members


class Archive:
    """An archive that is read forwards. `at`: bytes of its content that cannot be read again."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.at = 0
        self._file = open_file(path)
        weakref.finalize(self, self._file.close)
        codec = compression(path)
        self._content: Any = self._file
        self._seekable = codec is None
        if codec is not None:
            import pyarrow as pa

            self._content = pa.CompressedInputStream(pa.PythonFile(self._file, mode="r"), codec)

    def copy(self, member: Member, copy: BinaryIO, planned: FileIdentity | None) -> None:
        """Raises LoadError unless the archive is the planned one, OSError also where it ends before the member does."""
        with unchanged(self.path, planned, self._file.fileno()) if planned else nullcontext():
            if self._seekable:
                self._file.seek(member.first)
            else:
                ahead, self.at = member.first - self.at, sys.maxsize  # until all has gone well
                self._read(ahead, None)
            self._read(member.size, copy)
            self.at = 0 if self._seekable else member.first + member.size

    def _read(self, length: int, copy: BinaryIO | None) -> None:
        while length > 0:
            piece = self._content.read(min(length, _PIECE))
            if not piece:
                raise OSError("it ends in the middle of a member; is it cut short?")
            length -= len(piece)
            if copy is not None:
                copy.write(piece)

    def members(self) -> Iterator[tarfile.TarInfo]:
        """Whatever is in it. Raises OSError and TarError."""
        with tarfile.open(fileobj=self._content, mode="r:" if self._seekable else "r|") as archive:
            yield from archive

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _members(path: str) -> list[Member]:
    """The files in an archive, in order. Raises OSError, and LoadError for what is no archive."""
    archive = Archive(path)
    try:
        found = [entry for entry in archive.members() if entry.isfile()]
    except (tarfile.TarError, EOFError) as error:
        raise LoadError(f"it cannot be read as an archive: {error}") from error
    finally:
        archive.close()
    if sparse := [entry.name for entry in found if entry.issparse()]:
        raise LoadError(f"the member {sparse[0]!r} is sparse; write the archive without --sparse")
    return [Member(entry.name, entry.offset_data, entry.size) for entry in found]


def _target(folder: str, name: str) -> str:
    """Where a member is copied to: below `folder`, whatever its name is."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        raise LoadError(f"the member {name!r} has a name that leads out of any folder it is copied to")
    return os.path.join(folder, *parts)
