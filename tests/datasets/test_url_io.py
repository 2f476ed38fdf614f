"""Inputs behind fsspec URLs, against an S3 server of our own."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.config.values import Size, Unit
from mpibatch.datasets import open_dataset
from mpibatch.datasets.base import LoadError
from mpibatch.errors import InputError

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
Batches = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket on a local server, and credentials in the environment, where alone they may come from."""
    s3fs = pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        system = s3fs.S3FileSystem()
        system.mkdir("bucket")
        yield system
    server.stop()


def test_files_are_copied_here(bucket: Any) -> None:
    """The script opens paths as ever; the copies go when the mini-batch goes."""
    for name in ("b/2.txt", "b/10.txt", "a.txt", "b/c.png"):
        bucket.pipe(f"bucket/files/{name}", name.encode())
    spec = Input("x", InputType.FILES, ("s3://bucket/files",))
    data = open_dataset(spec, Size(3, Unit.ITEMS))
    splits = list(data.plan(map))
    assert [piece.items for piece in splits] == [3, 1]
    loaded: Any = data.load(splits[0].payload)
    assert [Path(path).read_text() for path in loaded.value] == ["a.txt", "b/10.txt", "b/2.txt"]
    assert loaded.value[1].endswith("bucket/files/b/10.txt")
    part = loaded.slice(1, 2)
    path = part.value[0]
    del loaded
    assert os.path.exists(path)
    del part
    assert not os.path.exists(path)
    assert data.failed_items(splits[1].payload, None, 1)[0].item == "s3://bucket/files/b/c.png"
    bucket.rm("bucket/files/b/c.png")
    with pytest.raises(LoadError, match=r"s3://bucket/files/b/c\.png"):
        data.load(splits[1].payload)


def test_tables(bucket: Any, batches: Batches) -> None:
    """CSV by ranges and Parquet by row groups, from globs and folders."""
    bucket.pipe("bucket/csv/1.csv", b"a,b\n" + b"".join(b'%d,"x\ny"\n' % at for at in range(100)))
    bucket.pipe("bucket/csv/2.csv", b"a,b\n100,z\n")
    parts = batches(Input("t", InputType.CSV, ("s3://bucket/csv/*.csv",)), 300)
    assert len(parts) > 3
    assert [value for part in parts for value in part["a"]] == list(range(101))
    with bucket.open("bucket/lake/part=1/x.parquet", "wb") as file:
        pq.write_table(pa.table({"a": range(10)}), file, row_group_size=4)
    bucket.pipe("bucket/lake/_SUCCESS", b"")
    parts = batches(Input("t", InputType.PARQUET, ("s3://bucket/lake",)))
    assert [part["a"].tolist() for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_nothing_there(bucket: Any, batches: Batches) -> None:
    for url in ("s3://bucket/none/*.csv", "s3://nobucket/x.csv"):
        with pytest.raises(InputError, match="input 't'"):
            batches(Input("t", InputType.CSV, (url,)))
    with pytest.raises(InputError, match="nosuchprotocol"):
        batches(Input("t", InputType.CSV, ("nosuchprotocol://x",)))


def test_file_urls(tmp_path: Path, batches: Batches) -> None:
    """file:// is the local file system."""
    (tmp_path / "a.csv").write_text("a\n1\n")
    (frame,) = batches(Input("t", InputType.CSV, (f"file://{tmp_path}/*.csv",)))
    assert frame["a"].tolist() == [1]
    assert batches(Input("t", InputType.FILES, (f"file://{tmp_path}",)), None) == [[f"{tmp_path}/a.csv"]]
