"""The encoding of a text input: its byte order marks, whether its files can be cut, and its bytes as UTF-8."""

import codecs

from mpibatch.config.choices import EncodingErrors
from mpibatch.config.schema import Input
from mpibatch.datasets.base import LoadError
from mpibatch.errors import InputError

_MARKED = [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")]


class TextCodec:
    """Of one input. Raises InputError for an encoding that there is not."""

    def __init__(self, spec: Input) -> None:
        try:
            self._name = codecs.lookup(spec.encoding).name.removesuffix("-sig")
        except LookupError:
            raise InputError(f"input {spec.name!r}: Python knows no encoding {spec.encoding!r}") from None
        self._errors = spec.encoding_errors

    def splittable(self) -> bool:
        """Whether newline and quote are the same bytes wherever they occur, and nothing else is."""
        if self._name.startswith("utf-16"):
            return True
        ascii = 'a\r\n",;\t|'
        stateful = self._name.startswith(("utf-7", "iso2022", "hz"))
        return not stateful and ascii.encode(self._name) == ascii.encode()

    def of_file(self, data: bytes) -> tuple[str, int]:
        """Python's name for the encoding of a file that begins with `data`, and the bytes of its mark.

        Raises LoadError for a mark of another encoding.
        """
        codec, start = self._name, 0
        for mark, marked in _MARKED:
            if data.startswith(mark):
                if not marked.startswith(codec):
                    raise LoadError(f"the file begins with the mark of {marked}; set encoding: {marked[:6]}")
                codec, start = marked, len(mark)
                break
        return ("utf-16-le" if codec == "utf-16" else codec), start

    def utf8(self, data: bytes, codec: str, what: str = "the slice") -> bytes:
        """Text in `codec`, as UTF-8. Raises LoadError, also for NUL characters."""
        if codec != "utf-8" or self._errors is not EncodingErrors.STRICT:
            data = self.decode(data, codec, what).encode()
        if (at := data.find(b"\0")) >= 0:
            raise LoadError(f"byte {at} of {what} is NUL; is the file damaged, or its encoding utf-16?")
        return data

    def decode(self, data: bytes, codec: str, what: str = "the slice") -> str:
        """Text in `codec`. Raises LoadError."""
        try:
            return data.decode(codec, self._errors)
        except UnicodeDecodeError as error:
            place = f"at byte {error.start} of {what}"
            raise LoadError(f"no {codec} {place}: {error.reason}; set encoding, or encoding_errors") from error
