"""Payloads of input type `files`, for tests that make mini-batches by hand."""

from collections.abc import Sequence

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.datasets import file_identity
from mpibatch.datasets.path_codec import PathCodec


def files_payload(names: Sequence[bytes | str]) -> bytes:
    """Names below /data, where nothing was seen."""
    codec = PathCodec(Input("names", InputType.FILES, ("/data",)))
    paths = [b"/data/" + (name.encode() if isinstance(name, str) else name) for name in names]
    return codec.pack(paths, file_identity.pack(None) * len(paths))
