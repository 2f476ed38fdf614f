"""Paths in payloads, each with what the planner saw there: relative to the input's root where all are below it.

    flag (1 byte) | number of paths (4) | identities (24 each) | paths, NUL between them

The flag tells relative from absolute, never the paths themselves: what looks absolute may be a name below the root
that begins with "/" by mistake.
"""

import os
import struct
import sys

from mpibatch.config.schema import Input
from mpibatch.datasets import file_identity
from mpibatch.datasets.base import FileIdentity
from mpibatch.datasets.paths import root_of

ABSOLUTE, RELATIVE = b"A", b"R"
_HEADER = struct.Struct("<cI")


class PathCodec:
    """For the files of one input. Names are bytes that may be no UTF-8; as text they hold surrogates."""

    def __init__(self, spec: Input) -> None:
        self._prefix = root_of(spec).rstrip("/") + "/"
        self._prefix_bytes = os.fsencode(self._prefix)
        self._encoding = sys.getfilesystemencoding()

    def pack(self, paths: list[bytes], identities: bytes) -> bytes:
        """Absolute paths, or URLs, as a payload; identities: of each, packed."""
        prefix = self._prefix_bytes
        relative = all(path.startswith(prefix) for path in paths)
        names = b"\0".join(path[len(prefix) :] for path in paths) if relative else b"\0".join(paths)
        header = _HEADER.pack(RELATIVE if relative else ABSOLUTE, len(paths))
        return header + identities + names

    def unpack(self, payload: bytes) -> list[str]:
        """The paths that were packed."""
        flag, count = _HEADER.unpack_from(payload)
        start = _HEADER.size + count * file_identity.PACKED_BYTES
        names = payload[start:].decode(self._encoding, "surrogateescape").split("\0")
        if flag == ABSOLUTE:
            return names
        prefix = self._prefix
        return [prefix + name for name in names]

    def packed_identities(self, payload: bytes) -> bytes:
        """Those that were packed."""
        return payload[_HEADER.size : _HEADER.size + self.count(payload) * file_identity.PACKED_BYTES]

    def identities(self, payload: bytes) -> list[FileIdentity | None]:
        """Of each path in turn."""
        return file_identity.unpack(self.packed_identities(payload))

    def count(self, payload: bytes) -> int:
        """How many paths were packed."""
        return int(_HEADER.unpack_from(payload)[1])
