"""Lines of text: a mini-batch is a list of strings, without their line ends.

A line ends at "\\n" or "\\r\\n"; an empty one is an item, but what follows the last newline of a file is none.
"""

from mpibatch.config.schema import Input
from mpibatch.config.values import Size
from mpibatch.datasets.base import ListBatch
from mpibatch.datasets.quoting import Delimiters
from mpibatch.datasets.table_base import LoadErrorContext
from mpibatch.datasets.text_codec import TextCodec
from mpibatch.datasets.text_slices import FileHeader, TextSlices


class LinesDataset(TextSlices):
    """One input of type lines."""

    def __init__(self, spec: Input, size: Size | None) -> None:
        super().__init__(spec, size)
        self._codec = TextCodec(spec)

    def needs_scan(self, total: int) -> bool:
        return False

    def splittable(self) -> bool:
        return self._codec.splittable()

    def read_header(self, data: bytes, complete: bool) -> FileHeader | None:
        codec, start = self._codec.of_file(data)
        wide = codec if codec.startswith("utf-16") else "ascii"
        feed, carriage = "\n".encode(wide), "\r".encode(wide)
        marks = Delimiters(feed, feed, carriage, quote=b"", other_ends=False, blank_rows=True)
        return FileHeader(start, None, codec, marks)

    def dump_state(self) -> bytes:
        return b""

    def load_state(self, state: bytes) -> None:
        pass

    def load(self, payload: bytes) -> ListBatch:
        span = self._span_codec.unpack(payload)
        with LoadErrorContext(span):
            data, header = self._bytes(span)
            text = self._codec.decode(data, header.codec)
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        return ListBatch([line.removesuffix("\r") for line in lines])
