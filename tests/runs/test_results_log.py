"""The results log: any prefix that a crash leaves, with any garbage behind it, scans to a prefix of its records."""

import os
import resource
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpibatch.errors import RunDirectoryError
from mpibatch.files import write_all
from mpibatch.runs.log_records import MAGIC, LogRecord, RecordType, read_records
from mpibatch.runs.results_log import ResultsLog

Written = tuple[RecordType, int, list[bytes]]
records = st.lists(
    st.tuples(st.sampled_from(RecordType), st.integers(0, 2**32 - 1), st.lists(st.binary(max_size=200), max_size=4)),
    max_size=8,
)


def write(path: Path, written: list[Written]) -> list[LogRecord]:
    """Writes a log; what a scan of it must give, since `append` says where each body is."""
    log = ResultsLog(path)
    expected = []
    for kind, count, parts in written:
        offset = log.append(kind, count, *parts)
        expected.append(LogRecord(kind, count, offset, b"".join(parts)))
    log.close()
    return expected


@given(records)
def test_what_was_written_is_read_back(written: list[Written]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        expected = write(path, written)
        assert list(read_records(path)) == expected
        content = path.read_bytes()
        assert all(content[record.offset :].startswith(record.body) for record in expected)


@given(records, st.data())
@settings(deadline=None)
def test_any_prefix_with_any_garbage_behind_scans_to_a_prefix_of_the_records(
    written: list[Written], data: st.DataObject
) -> None:
    """A torn tail: cut anywhere, then nothing, zeros (blocks that were never filled), or noise."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        expected = write(path, written)
        whole = path.read_bytes()
        cut = data.draw(st.integers(len(MAGIC), len(whole)))
        garbage = data.draw(st.one_of(st.just(b""), st.just(bytes(500)), st.binary(max_size=100)))
        path.write_bytes(whole[:cut] + garbage)
        found = list(read_records(path))
        assert found == expected[: len(found)]
        assert len(found) >= sum(record.offset + len(record.body) <= cut for record in expected)


@given(records.filter(len), st.data())
def test_a_flipped_bit_is_noticed(written: list[Written], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        expected = write(path, written)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(len(MAGIC), len(content) - 1))
        content[at] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        ends = [record.offset + len(record.body) for record in expected]
        assert list(read_records(path)) == expected[: sum(end <= at for end in ends)]


def test_an_existing_log_is_never_written_over(tmp_path: Path) -> None:
    """Two owners of one run cannot be."""
    write(tmp_path / "log", [(RecordType.SCHEMA, 1, [b"x"])])
    with pytest.raises(RunDirectoryError, match="File exists"):
        ResultsLog(tmp_path / "log")


def test_a_log_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"mpibatch results log 27\n" + bytes(100))
    with pytest.raises(RunDirectoryError, match="another version of mpibatch"):
        list(read_records(tmp_path / "log"))


def test_a_record_of_a_type_from_another_version_is_refused(tmp_path: Path) -> None:
    """Its checksum is right, so it is no damage: to skip it would be to forget something."""
    log = ResultsLog(tmp_path / "log")
    log.append(99, 0)  # type: ignore[arg-type]  # no type of this version
    log.close()
    with pytest.raises(RunDirectoryError, match="another version of mpibatch"):
        list(read_records(tmp_path / "log"))


@pytest.mark.parametrize("content", [b"something else entirely, and more", b"\0" * 50])
def test_a_log_damaged_in_its_first_bytes_is_empty(tmp_path: Path, content: bytes) -> None:
    """Zeros are what a crash of the machine leaves of blocks that were never written."""
    (tmp_path / "log").write_bytes(content)
    assert list(read_records(tmp_path / "log")) == []


@pytest.mark.parametrize("length", range(len(MAGIC) + 1))
def test_a_log_torn_in_its_first_bytes_is_empty(tmp_path: Path, length: int) -> None:
    (tmp_path / "log").write_bytes(MAGIC[:length])
    assert list(read_records(tmp_path / "log")) == []


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A full disk, as far as one process goes: writes beyond `size` fail, after a part maybe."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_said_and_costs_nothing_written_before(tmp_path: Path) -> None:
    log = ResultsLog(tmp_path / "log")
    first = log.append(RecordType.RESULTS, 1, b"a" * 1000)
    with file_size_limit(5000), pytest.raises(RunDirectoryError, match="make room"):
        log.append(RecordType.RESULTS, 2, b"b" * 3000, b"c" * 3000)
    assert [(record.count, record.offset) for record in read_records(tmp_path / "log")] == [(1, first)]
    log.append(RecordType.RESULTS, 3, b"d" * 10)
    assert [record.count for record in read_records(tmp_path / "log")] == [1, 3]
    log.close()


def test_row_bytes_can_be_read_while_the_log_is_open(tmp_path: Path) -> None:
    log = ResultsLog(tmp_path / "log")
    offsets = [log.append(RecordType.RESULTS, 1, b"head", f"body {n}".encode()) for n in range(3)]
    assert [os.pread(log.descriptor, 6, offset + 4) for offset in offsets] == [b"body 0", b"body 1", b"body 2"]
    log.close()


def test_rows_in_a_buffer_are_written_as_they_are(tmp_path: Path) -> None:
    """Large rows are held once: neither their checksum nor a write that takes a part of them makes `bytes` of them."""
    rows = bytearray(b"rows\n" * 1000)
    log = ResultsLog(tmp_path / "log")
    offset = log.append(RecordType.RESULTS, 1, b"records", memoryview(rows))
    log.close()
    assert list(read_records(tmp_path / "log")) == [LogRecord(RecordType.RESULTS, 1, offset, b"records" + rows)]


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.integers(0, 100))
def test_a_write_that_takes_only_a_part_is_gone_on_with(parts: list[bytes], taken: int) -> None:
    """2 GiB are the most that one call takes, in the middle of a part or at its end."""
    reading, writing = os.pipe()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "writev", lambda descriptor, parts: os.write(descriptor, b"".join(parts)[:taken]))
        write_all(writing, *[memoryview(part) for part in parts])
    os.close(writing)
    with open(reading, "rb") as file:
        assert file.read() == b"".join(parts)
