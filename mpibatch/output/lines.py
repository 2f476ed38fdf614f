"""What text and JSON lines share: a row is a line that needs no header and no schema, so any fits the file."""

from mpibatch.output.base import Encoded


class LineEncoder:
    """The executor's half."""

    def join(self, parts: list[Encoded]) -> Encoded:
        return Encoded(sum(part.rows for part in parts), b"".join(part.data for part in parts))


class LineFormat:
    """Rank 0's half."""

    def header(self, schema: bytes) -> bytes:
        return b""

    def merge_schema(self, declared: bytes | None, schema: bytes) -> bytes | None:
        return declared or schema

    def reorder(self, declared: bytes, schema: bytes, data: bytes) -> bytes:
        return data

    def explain_mismatch(self, declared: bytes, schema: bytes) -> str:
        return "every row fits a file of lines"
