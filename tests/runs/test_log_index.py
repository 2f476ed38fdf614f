"""A resume of a large run begins at once: it reads the index of the log, and of log and output only the tails."""

import os
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.errors import RunDirectoryError
from mpibatch.runs import recovery
from mpibatch.runs.checkpoint import Checkpoint
from mpibatch.runs.checksummed_file import BLOCK_BYTES, FileState
from mpibatch.runs.log_index import IndexEntry, LogIndex, read_index
from mpibatch.runs.log_records import HEADER, MAGIC, RecordType, read_records
from mpibatch.runs.results_log import ResultsLog
from tests.runs.resuming import FORMATS, Unattended
from tests.runs.test_resume import fresh, undisturbed

GIB = 1 << 30


@pytest.fixture
def every_log_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "READ_WHOLE_UP_TO", 0)


def test_only_what_was_synced_is_in_the_index(tmp_path: Path) -> None:
    """Else a crash of the machine leaves an index that names rows which no log has."""
    log = ResultsLog(tmp_path / "results.1.log")
    log.append(RecordType.SCHEMA, 7, b"columns")
    log.append(RecordType.RESULTS, 1, b"attempt", b"rows")
    log.sync()
    log.append(RecordType.RESULTS, 1, b"more", b"rows")
    log.close()
    found = list(read_index(tmp_path / "results.1.index", (tmp_path / "results.1.log").stat().st_size))
    assert [(entry.type, entry.count, entry.head) for entry in found] == [
        (RecordType.SCHEMA, 7, b"columns"),
        (RecordType.RESULTS, 1, b"attempt"),
    ]
    (rest,) = read_records(tmp_path / "results.1.log", found[-1].end)
    assert rest.body == b"morerows"


def test_an_index_of_another_log_is_left_at_its_first_gap(tmp_path: Path) -> None:
    index = LogIndex(tmp_path / "results.1.index")
    first = IndexEntry(RecordType.SCHEMA, 1, len(MAGIC) + HEADER.size, 10, 0, b"x" * 10)
    for entry in (first, IndexEntry(RecordType.SCHEMA, 2, first.end + HEADER.size + 1, 10, 0, b"x" * 10)):
        index.add(entry)
    index.write(2)
    index.close()
    assert list(read_index(tmp_path / "results.1.index", 10_000)) == [first]
    assert list(read_index(tmp_path / "results.1.index", first.end - 1)) == [], "the log has less"
    assert list(read_index(tmp_path / "none", 10_000)) == []


@pytest.mark.usefixtures("every_log_is_large")
@pytest.mark.parametrize("file_name", FORMATS)
@pytest.mark.parametrize("cut", [0, 1, 50, 10**9])
def test_a_resume_by_the_index_leaves_the_same(file_name: str, cut: int) -> None:
    """Whatever a crash has left of the index."""
    with fresh(file_name, seed=2) as run:
        run.work(stop_after=15)
        run.work(stop_after=10, close=False)
        index = run.directory.results_index(1)
        assert index.stat().st_size > 1000
        index.write_bytes(index.read_bytes()[:-cut] if cut else index.read_bytes())
        assert run.work() == undisturbed(file_name)
        assert run.work() == undisturbed(file_name)


@pytest.mark.usefixtures("every_log_is_large")
def test_damage_that_the_index_hides_is_found_when_the_rows_are_needed() -> None:
    """They would be copied into the output as they are. Then the log is read as a whole, and cut there."""
    with fresh("out.txt", seed=2) as run:
        run.work(stop_after=30, checkpoints=0)
        (log,) = run.logs()
        run.output.unlink()  # so that all rows are needed
        content = bytearray(log.read_bytes())
        place = content.index(b"row 0")
        content[place] ^= 1
        log.write_bytes(content)
        with pytest.raises(RunDirectoryError, match="damaged at byte"):
            run.work()
        assert run.work() == undisturbed("out.txt")


class CountedReads:
    """How many bytes os.pread gives, while it lasts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        read = os.pread

        def pread(descriptor: int, length: int, offset: int) -> bytes:
            data = read(descriptor, length, offset)
            self.bytes += len(data)
            return data

        monkeypatch.setattr(os, "pread", pread)


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Unattended]:
    """A run that stopped with 200 GiB of output and of log, of which 39 of 40 mini-batches are assembled.

    Both are holes, that is zeros, but they have the size.
    """
    run = Unattended(tmp_path / "run", "out.txt")
    run.recover()
    each = 5 * GIB
    log = ResultsLog(run.directory.results(1))
    log.close()
    index = LogIndex(run.directory.results_index(1))
    end = len(MAGIC)
    for number in range(39):
        record = np.zeros(1, dtype=ATTEMPT_DTYPE)
        record["index"], record["items"], record["succeeded"], record["row_bytes"] = number, 3, 3, each
        offset, length = end + HEADER.size, record.nbytes + each
        index.add(IndexEntry(RecordType.RESULTS, 1, offset, length, 0, record.tobytes()))
        end = offset + length
    size = 39 * each
    zeros = zlib.crc32(bytes(BLOCK_BYTES))
    blocks = array("I", [zeros]) * (size // BLOCK_BYTES)
    body = Checkpoint(39, FileState(size, 0)).encode([blocks, array("I"), array("I")])
    index.add(IndexEntry(RecordType.CHECKPOINT, 0, end + HEADER.size, len(body), 0, body))
    index.write(40)
    index.close()
    os.truncate(run.directory.results(1), end + HEADER.size + len(body))
    run.output.touch()
    os.truncate(run.output, size)
    yield run
    run.output.unlink()


def test_two_hundred_gigabytes_of_output_and_log_are_not_read_again(
    large: Unattended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read both whole before it began: minutes in which no rank heard of it."""
    reads = CountedReads(monkeypatch)
    begun: list[int] = []

    def stop(run: Unattended, *_: object) -> None:
        begun.append(run.output.stat().st_size)
        raise KeyboardInterrupt

    monkeypatch.setattr(Unattended, "_loop", stop)
    with pytest.raises(KeyboardInterrupt):
        large.work()
    assert begun == [39 * 5 * GIB]
    assert large.warnings == []
    assert reads.bytes < 100 << 20
