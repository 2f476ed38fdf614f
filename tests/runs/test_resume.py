"""A run that is gone on with leaves what an undisturbed run leaves, whatever has become of its log and of its files."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mpibatch.errors import RunDirectoryError
from mpibatch.runs.log_records import MAGIC, OTHER_VERSION, RecordType, has_records, has_results
from mpibatch.runs.recovery import recover
from mpibatch.runs.results_log import ResultsLog
from tests.runs.full_disk import FullDisk
from tests.runs.resuming import FORMATS, Result, Unattended, items_of, succeeded_of

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # hundreds of fsync a test
formats = pytest.mark.parametrize("file_name", FORMATS)
garbage = st.one_of(st.just(b""), st.just(bytes(1000)), st.binary(max_size=100))


@contextmanager
def fresh(file_name: str, seed: int = 0) -> Iterator[Unattended]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Unattended(Path(folder) / "run", file_name, seed=seed)
        close_below(folder)


def close_below(folder: str) -> None:
    """What incarnations that were just gone have left open: in a process of their own it would be closed."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith(folder):
                os.close(int(name))


@cache
def undisturbed(file_name: str) -> Result:
    with fresh(file_name) as run:
        return run.work()


def test_the_run_of_these_tests_has_failures_of_all_kinds() -> None:
    """Else the rest of this file would guard less than it says."""
    result = undisturbed("out.csv")
    assert all(result.failed_items.count(word) >= 3 for word in (b"user_error", b'"missing"', b"['number', 'other']"))
    assert undisturbed("out.txt").tally.items_failed == sum(items_of(i) - succeeded_of(i) for i in range(40))


@formats
@given(seed=st.integers(0, 1000), stops=st.lists(st.integers(0, 30), max_size=4), close=st.booleans())
def test_stopped_and_gone_on_with_any_number_of_times(file_name: str, seed: int, stops: list[int], close: bool) -> None:
    """Closed in order or just gone; results in any order, checkpoints anywhere."""
    with fresh(file_name, seed) as run:
        for stop in stops:
            run.work(stop_after=stop, close=close)
        assert run.work() == undisturbed(file_name)


@formats
@given(seed=st.integers(0, 50), stops=st.lists(st.integers(1, 25), max_size=2), where=st.floats(0, 1), noise=garbage)
def test_any_prefix_of_a_log_with_any_garbage_behind_resumes_to_the_same(
    file_name: str, seed: int, stops: list[int], where: float, noise: bytes
) -> None:
    """The output file may be far ahead of what is left of the log; the log may be any of several."""
    with fresh(file_name, seed) as run:
        for stop in [*stops, 40]:
            run.work(stop_after=stop)
        log = run.random.choice(run.logs())
        whole = log.read_bytes()
        log.write_bytes(whole[: round(where * len(whole))] + noise)
        assert run.work() == undisturbed(file_name)
        assert run.work() == undisturbed(file_name), "a complete run, gone on with, changes nothing"


@formats
@given(seed=st.integers(0, 50), where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@example(seed=0, where=0.0, flip=1)
def test_a_flipped_byte_anywhere_resumes_to_the_same_or_is_refused(
    file_name: str, seed: int, where: float, flip: int
) -> None:
    """Refused only where the first line now names another version."""
    with fresh(file_name, seed) as run:
        run.work(stop_after=20)
        run.work(stop_after=15)
        log = run.random.choice(run.logs())
        whole = bytearray(log.read_bytes())
        place = int(where * len(whole))
        whole[place] ^= flip
        log.write_bytes(whole)
        if OTHER_VERSION.match(whole) and not whole.startswith(MAGIC):
            with pytest.raises(RunDirectoryError, match="another version of mpibatch"):
                run.work()
        else:
            assert run.work() == undisturbed(file_name)


def shorten(path: Path) -> None:
    """Into what the checkpoint vouches for: failures known beyond the frontier stand behind it."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])


def edit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"a line of somebody else\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("file_name", "which"),
    [*product(FORMATS, ["output", "failed items"]), ("out.parquet", "footers of groups")],
)
@pytest.mark.parametrize("tamper", [shorten, edit, lengthen, empty, Path.unlink])
def test_files_changed_by_others_are_made_anew(file_name: str, which: str, tamper: Callable[[Path], None]) -> None:
    """With a warning; but what was only added behind the checkpoint is cut off, as after a crash."""
    with fresh(file_name, seed=3) as run:
        run.work(stop_after=30)
        tamper(
            {"output": run.output, "failed items": run.directory.failed_items}.get(which, run.directory.group_footers)
        )
        assert run.work() == undisturbed(file_name)
        assert any("changed by others" in damage for damage in run.warnings) == (tamper is not lengthen)


@formats
@given(seed=st.integers(0, 50), room=st.integers(0, 12_000))
@example(seed=0, room=7000)
@example(seed=32, room=5103)  # full while a stretch with rows that were refused is assembled
@example(seed=41, room=8506)  # full after the failure of the refused was written, before another's
def test_a_disk_that_is_full_at_any_byte_costs_nothing(file_name: str, seed: int, room: int) -> None:
    """The write that fails may have written a part; the last checkpoint may then fit again, or not."""
    with fresh(file_name, seed) as run:
        run.work(stop_after=0)
        with FullDisk(room) as disk, contextlib.suppress(RunDirectoryError, OSError):
            run.work(full=disk)
        assert run.work() == undisturbed(file_name)


@formats
def test_a_complete_output_that_was_deleted_is_made_again(file_name: str) -> None:
    with fresh(file_name) as run:
        run.work()
        run.output.unlink()
        assert run.work() == undisturbed(file_name)


@formats
def test_reopened_mini_batches_run_again_and_the_output_stays_the_same(file_name: str) -> None:
    """What --retry-failed does; a resume of it that knows nothing of the wish goes on with it."""
    with fresh(file_name, seed=5) as run:
        run.work()
        log = ResultsLog(run.directory.results(len(run.logs()) + 1))
        failed = np.flatnonzero([succeeded_of(index) < items_of(index) for index in range(run.total)])
        log.append(RecordType.REOPENED, len(failed), failed.astype("<i8").tobytes())
        log.close()
        recovered = recover(run.directory)
        assert np.flatnonzero(~recovered.outcomes.table["final"]).tolist() == failed.tolist()
        run.work(stop_after=3)
        assert run.work() == undisturbed(file_name)


def test_damage_is_reported_with_its_place() -> None:
    with fresh("out.txt") as run:
        run.work(stop_after=20)
        (log,) = run.logs()
        size = log.stat().st_size
        log.write_bytes(log.read_bytes() + b"garbage")
        recovered = recover(run.directory)
        (warning,) = recovered.warnings
        assert f"byte {size} of {size + 7}" in warning


def test_an_undamaged_log_is_not_called_damaged() -> None:
    with fresh("out.txt") as run:
        run.work(stop_after=20)
        recovered = recover(run.directory)
        assert recovered.warnings == []


def test_a_log_of_another_run_is_refused() -> None:
    with fresh("out.txt") as run, fresh("out.txt") as other:
        other.total = 10
        other.__post_init__()
        other.work()
        run.work()
        shutil.copy(other.directory.plan, run.directory.plan)
        with pytest.raises(RunDirectoryError, match="are both of one run"):
            run.work()


@pytest.mark.parametrize("body", [b"short", bytes(1001)])
@pytest.mark.parametrize("kind", [RecordType.CHECKPOINT, RecordType.RESULTS, RecordType.REOPENED])
def test_a_sound_record_of_another_shape_is_refused(kind: RecordType, body: bytes) -> None:
    """Its checksum is right: another version wrote it. To skip it would be to forget results."""
    with fresh("out.txt") as run:
        run.work(stop_after=5)
        log = ResultsLog(run.directory.results(2))
        log.append(kind, 1000, body)
        log.close()
        with pytest.raises(RunDirectoryError, match="another version"):
            run.work()


def test_events_damaged_or_torn_stop_no_resume() -> None:
    with fresh("out.txt") as run:
        run.work(stop_after=20, close=False)
        content = bytearray(run.directory.events.read_bytes()[:-5])
        content[:1000] = bytes([255] * 1000)
        run.directory.events.write_bytes(content)
        assert run.work() == undisturbed("out.txt")


def test_an_unreadable_log_is_reported(tmp_path: Path) -> None:
    """A folder in its place, since root may read every file."""
    run = Unattended(tmp_path / "run", "out.txt")
    run.work(stop_after=20)
    (log,) = run.logs()
    log.unlink()
    log.mkdir()
    with pytest.raises(RunDirectoryError, match="cannot read back"):
        run.work()


def test_headers_alone_tell_whether_an_incarnation_has_done_anything() -> None:
    """What the launcher asks after an abnormal end: an incarnation that wrote its log's head has done nothing yet."""
    with fresh("out.txt") as run:
        run.work(stop_after=0)
        first = run.logs()[0]
        assert (has_records(first), has_results(first)) == (True, False)
        run.work()
        assert has_results(run.logs()[1])
        first.write_bytes(MAGIC[:-1])
        assert (has_records(first), has_results(first)) == (False, False)
