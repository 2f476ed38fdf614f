"""A Parquet output is written as a run goes on: groups that follow from plan order alone, gone on with by a resume."""

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpibatch.config.schema import RowFormat
from mpibatch.errors import MpibatchError, RunDirectoryError
from mpibatch.liveness.lease import acquire
from mpibatch.output import columnar, open_encoder, open_format
from mpibatch.output.parquet import ParquetFormat
from mpibatch.runs import checkpoint, checksummed_file, run_writer
from mpibatch.runs.checkpoint import Checkpoint, GroupsWritten
from mpibatch.runs.log_records import RecordType, read_records
from mpibatch.runs.recovery import recover
from mpibatch.runs.run_writer import RunWriter
from tests.runs.resuming import ROW_GROUP, Result, Unattended, items_of
from tests.runs.test_assembly import Outcome, Run
from tests.runs.test_resume import fresh, undisturbed

WIDENING = {0: None, 12: 1, 20: 1 << 20, 25: 1 << 40, 30: 0.5}  # the types that begin with these mini-batches


@dataclass
class Numbers(Unattended):
    """Rows of one column, whose type widens where `begins` says so."""

    begins: dict[int, Any] = field(default_factory=lambda: {0: 1})

    def rows_of(self, index: int) -> list[Any]:
        value = self.begins[max(first for first in self.begins if first <= index)]
        return [{"n": value if row or value is None else type(value)(index)} for row in range(items_of(index))]


def numbers(folder: Path, begins: dict[int, Any] | None = None) -> Numbers:
    return Numbers(folder / "run", "out.parquet", begins=begins or {0: 1})


def finalized(path: Path, batches: list[list[Any]]) -> bytes:
    """What one ParquetWriter makes of them."""
    encoder, writer = open_encoder("o.parquet", RowFormat()), ParquetFormat(RowFormat())
    schema: bytes | None = None
    parts = []
    for encoded in filter(None, (encoder.encode(batch) if batch else None for batch in batches)):
        schema = writer.merge_schema(schema, encoded.schema)
        assert schema is not None
        parts.append((encoded.schema, encoded.data))
    writer.finalize(path, schema or b"", parts)
    return path.read_bytes()


def expected(run: Numbers, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(columnar, "ROW_GROUP", ROW_GROUP)
    return finalized(folder / "expected.parquet", [run.rows_of(index) for index in range(run.total)])


@pytest.fixture
def offsets(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of all groups that are encoded, from now on."""
    found: list[int] = []
    encode = ParquetFormat.encode_group

    def noted(self: ParquetFormat, path: Path, schema: bytes, rows: Any, offset: int, *words: Any) -> Any:
        found.append(offset)
        return encode(self, path, schema, rows, offset, *words)

    monkeypatch.setattr(ParquetFormat, "encode_group", noted)
    return found


values = st.none() | st.integers(-9, 9) | st.floats(-9, 9) | st.integers(1 << 20, 1 << 50)


@given(
    st.lists(st.lists(values, max_size=12), max_size=15),
    st.integers(1, 9),
    st.sampled_from([1 << 27, 300]),
    st.data(),
)
@settings(deadline=None)
def test_the_same_bytes_whatever_the_order_and_the_timing(
    batches: list[list[Any]], group: int, buffered: int, data: st.DataObject
) -> None:
    """And the same that one ParquetWriter makes of the whole."""
    encoder = open_encoder("o.parquet", RowFormat())
    encoded = [encoder.encode(batch) for batch in batches]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(columnar, "ROW_GROUP", group)
        patched.setattr(columnar, "MAX_BUFFERED_BYTES", buffered)
        run = Run(folder, [Outcome(1, one.data, one.schema) for one in encoded], ParquetFormat(RowFormat()))
        order = data.draw(st.permutations(range(len(batches))))
        while order:
            some, order = order[: (size := data.draw(st.integers(1, 5)))], order[size:]
            run.arrive(list(some))
            run.writer.assembly.advance(budget=data.draw(st.sampled_from([1, 1000, 1 << 20])))
            if data.draw(st.booleans()):
                run.writer.assembly.await_group()
        assert run.finish()[0] == finalized(Path(folder) / "whole.parquet", batches)


def test_an_undisturbed_run_makes_what_one_writer_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = numbers(tmp_path)
    assert run.work().output == expected(run, tmp_path, monkeypatch)
    assert pq.ParquetFile(run.output).num_row_groups > 5


def test_the_output_grows_while_the_run_is_under_way(tmp_path: Path) -> None:
    run = numbers(tmp_path)
    sizes = []
    for _ in range(3):
        run.work(stop_after=10)
        sizes.append(run.output.stat().st_size)
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert run.output.read_bytes().startswith(b"PAR1")
    assert 0 < recover(run.directory).checkpoint.groups.batch <= 30


def test_a_resume_goes_on_with_the_groups_that_there_are(tmp_path: Path, offsets: list[int]) -> None:
    whole = numbers(tmp_path / "whole").work().output
    groups = len(offsets)
    run = numbers(tmp_path)
    run.work(stop_after=25)
    begun = run.output.stat().st_size
    offsets.clear()
    assert run.work().output == whole
    assert offsets[0] == begun, "where the first incarnation ended"
    assert len(offsets) < groups
    assert run.warnings == []


def test_the_footers_are_dropped_with_the_log(tmp_path: Path) -> None:
    encoded = open_encoder("o.parquet", RowFormat()).encode([1])
    run = Run(tmp_path, [Outcome(1, encoded.data, encoded.schema)], ParquetFormat(RowFormat()))
    run.arrive([0])
    run.writer.assembly.advance()
    run.writer.finish()
    assert run.directory.group_footers.exists()
    run.writer.close(keep=False)
    run.lease.release()
    assert not run.directory.group_footers.exists()
    assert pq.read_table(run.output).to_pylist() == [{"value": 1}]


@pytest.mark.parametrize("stops", [[], [15], [15, 8], [22, 5, 5], [3] * 12])
@pytest.mark.parametrize("close", [True, False])
def test_types_that_widen_in_mid_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: list[int], close: bool
) -> None:
    """Groups that were written in narrower types are written again; nobody is told that others had changed them."""
    run = numbers(tmp_path, WIDENING)
    for stop in stops:
        run.work(stop_after=stop, close=close, checkpoints=0.5)
        assert run.warnings == []
    assert run.work().output == expected(run, tmp_path, monkeypatch)
    assert run.warnings == []
    assert pq.read_schema(run.output).field("n").type == "double"


def test_a_wider_schema_of_the_same_columns_rewrites_nothing(tmp_path: Path, offsets: list[int]) -> None:
    """Nulls fit any type."""
    numbers(tmp_path, {0: 1, 20: None, 30: 1}).work()
    assert offsets == sorted(set(offsets))


@given(seed=st.integers(0, 1000), stops=st.lists(st.integers(0, 30), max_size=4), close=st.booleans())
@settings(deadline=None)
def test_checksums_of_blocks_are_those_of_the_last_beginning(seed: int, stops: list[int], close: bool) -> None:
    """Blocks are so small here that each group has several; the mini-batches' types widen once."""
    with pytest.MonkeyPatch.context() as patched:
        for module in (checkpoint, checksummed_file, run_writer):
            patched.setattr(module, "BLOCK_BYTES", 64)
        with fresh("out.parquet", seed) as run:
            for stop in stops:
                run.work(stop_after=stop, close=close, checkpoints=0.5)
                assert run.warnings == []
            assert run.work() == undisturbed("out.parquet")
            assert run.warnings == []


def groups_of(folder: Path, *kinds: type) -> Run:
    """A mini-batch of each type, and each as large as a group may be."""
    encoder = open_encoder("o.parquet", RowFormat())
    encoded = [encoder.encode(np.arange(10, dtype=kind)) for kind in kinds]
    run = Run(folder, [Outcome(1, one.data, one.schema) for one in encoded], ParquetFormat(RowFormat()))
    run.writer._plan.write(run.directory.plan)
    return run


@pytest.fixture
def ten_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group has ten rows, and the checksummed blocks of files are small."""
    monkeypatch.setattr(columnar, "ROW_GROUP", 10)
    for module in (checkpoint, checksummed_file, run_writer):
        monkeypatch.setattr(module, "BLOCK_BYTES", 64)


def arrive_and_write(run: Run, indices: list[int]) -> None:
    run.arrive(indices)
    for _ in run.outcomes:
        run.writer.assembly.advance()
        run.writer.assembly.await_group()


def log_checkpoint(run: Run) -> None:
    """The next call notes it once the files are on the disk."""
    for _ in range(2000):
        run.writer.checkpoint()
        if run.writer._next_checkpoint is None:
            return
        time.sleep(0.001)
    raise AssertionError("it takes two seconds")


def resumed(run: Run, rest: list[int]) -> bytes:
    """What another incarnation makes of it, which does the rest; nobody is told that others had changed anything."""
    run.lease.release()
    run.lease = acquire(run.directory.path)
    recovered = recover(run.directory)
    datasets = run.writer._datasets
    run.writer = RunWriter(run.directory, recovered, datasets, ParquetFormat(RowFormat()), run.output, run.lease)
    assert recovered.warnings == []
    for schema, number in run.ids.items():
        run.writer.add_schema(number, schema)
    run.arrive(rest)
    return run.finish()[0]


@pytest.mark.usefixtures("ten_rows")
@pytest.mark.parametrize("logged_again", [False, True])
def test_a_crash_after_the_output_began_anew(tmp_path: Path, offsets: list[int], logged_again: bool) -> None:
    """The last checkpoint may be of the beginning before. Checksums of blocks are those of one beginning."""
    kinds = (np.int64, np.int64, np.int64, np.float64, np.float64)
    whole = groups_of(tmp_path / "whole", *kinds)
    whole.arrive([0, 1, 2, 3, 4])
    expected = whole.finish()[0]
    run = groups_of(tmp_path, *kinds)
    arrive_and_write(run, [0, 1])
    log_checkpoint(run)
    first = recover(run.directory).checkpoint
    assert first.groups.batch == 2
    arrive_and_write(run, [2, 3])
    if logged_again:
        log_checkpoint(run)
        assert recover(run.directory).checkpoint.groups == GroupsWritten(4, 0, first.groups.generation + 1)
    offsets.clear()
    assert resumed(run, [4]) == expected
    assert (offsets[0] > 0) == logged_again


@pytest.mark.usefixtures("ten_rows")
def test_a_checkpoint_of_what_is_cut_off_is_not_noted(tmp_path: Path) -> None:
    run = groups_of(tmp_path, np.int64, np.float64)
    arrive_and_write(run, [0])
    run.writer.checkpoint()
    arrive_and_write(run, [1])
    log_checkpoint(run)
    found = [
        Checkpoint.decode(record.body)[0].groups
        for record in read_records(run.directory.results(1))
        if record.type is RecordType.CHECKPOINT
    ]
    assert [groups.generation for groups in found] == [1] * len(found)
    assert len(pq.ParquetFile(BytesIO(run.finish()[0])).read()) == 20


@pytest.mark.usefixtures("ten_rows")
def test_types_that_widen_often_are_waited_for(tmp_path: Path, offsets: list[int]) -> None:
    """Once more is written again than there is at all, the rest is written when everything is final."""
    kinds = (np.int8, np.int16, np.int32, np.int64, np.float64, np.float64)
    run = groups_of(tmp_path, *kinds)
    counts = []
    for index in range(len(kinds)):
        offsets.clear()
        arrive_and_write(run, [index])
        counts.append(len(offsets))
    assert counts == [1, 2, 3, 4, 0, 6]
    assert pq.read_table(BytesIO(run.finish()[0])).column("value").to_pylist() == [*map(float, range(10))] * 6


def one_group(folder: Path) -> Run:
    return groups_of(folder, np.int64, np.int64, np.int64)


def test_nobody_waits_for_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 0 answers its workers while one is encoded."""
    monkeypatch.setattr(columnar, "ROW_GROUP", 10)
    go_on, encode = threading.Event(), ParquetFormat.encode_group

    def slow(self: ParquetFormat, *words: Any) -> Any:
        assert go_on.wait(60)
        return encode(self, *words)

    monkeypatch.setattr(ParquetFormat, "encode_group", slow)
    run = one_group(tmp_path)
    run.arrive([0, 1, 2])
    for _ in range(3):
        run.writer.assembly.advance()
    assert run.writer.assembly.frontier == 3
    assert run.writer.is_behind
    assert run.writer.assembly.checkpoint.output.size == 0
    go_on.set()
    run.finish()
    assert pq.ParquetFile(run.output).num_row_groups == 3


@pytest.mark.parametrize("times", [1, 100])
def test_rows_that_no_group_takes_are_told_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Others may still widen the types, and what is left to do is done."""
    monkeypatch.setattr(columnar, "ROW_GROUP", 10)
    encode: Callable[..., Any] = ParquetFormat.encode_group
    left = times

    def refusing(self: ParquetFormat, *words: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise MpibatchError("out.parquet cannot be made of these")
        return encode(self, *words)

    monkeypatch.setattr(ParquetFormat, "encode_group", refusing)
    run = one_group(tmp_path)
    run.arrive([0, 1])
    run.writer.assembly.advance()
    run.writer.assembly.await_group()
    run.arrive([2])
    assert not run.writer.assembly.advance()
    assert not run.writer.is_behind
    if times == 1:
        run.finish()
        assert pq.read_table(run.output).num_rows == 30
    else:
        with pytest.raises(MpibatchError, match="cannot be made of these"):
            run.finish()


@pytest.mark.usefixtures("ten_rows")
@pytest.mark.parametrize(
    ("touch", "said"),
    [(Path.unlink, "was deleted"), (lambda path: path.write_bytes(bytes(path.stat().st_size)), "has other bytes")],
    ids=["deleted", "zeros"],
)
def test_damage_to_the_footers_while_the_run_is_at_work_is_found(
    tmp_path: Path, touch: Callable[[Path], None], said: str
) -> None:
    run = one_group(tmp_path)
    arrive_and_write(run, [0, 1, 2])
    touch(run.directory.group_footers)
    with pytest.raises(RunDirectoryError, match=f"{said}.* while the run was at work"):
        run.finish()


@pytest.mark.usefixtures("ten_rows")
def test_what_others_have_touched_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large file only its end is looked at before a resume, so the checkpoint has to be from the beginning."""
    monkeypatch.setattr(checksummed_file, "COPIED_UP_TO", 0)
    run = one_group(tmp_path)
    arrive_and_write(run, [0, 1, 2])
    log_checkpoint(run)
    content = run.output.read_bytes()
    with run.output.open("r+b") as file:
        file.seek(20)
        file.write(bytes(10))
    with pytest.raises(RunDirectoryError, match="has other bytes"):
        run.finish()
    run.writer.close(keep=True)
    assert resumed(run, []).startswith(content)


def test_the_run_of_these_tests_has_groups_and_widens() -> None:
    """Else the resumes of test_resume.py and test_power_loss.py would guard less than they say."""
    result: Result = undisturbed("out.parquet")
    assert pq.ParquetFile(BytesIO(result.output)).num_row_groups > 5
    assert isinstance(open_format("out.parquet", RowFormat()), ParquetFormat)
