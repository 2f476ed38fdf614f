"""The plan: what was planned is what is granted, before and after plan.parquet, across its chunks."""

import gzip
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.datasets import open_dataset
from mpibatch.datasets.files import FileDataset
from mpibatch.errors import RunDirectoryError
from mpibatch.planning import plan as plans
from mpibatch.planning.plan import CHUNK, Plan
from mpibatch.types import UNKNOWN, Map, MiniBatch, Split


class Listed(FileDataset):
    """An input whose slices are given."""

    def __init__(self, splits: list[Split]) -> None:
        super().__init__(Input("listed", InputType.FILES, ("/data",)), None)
        self.splits = splits

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        return iter(self.splits)


def expected(*inputs: list[Split]) -> list[MiniBatch]:
    batches: list[MiniBatch] = []
    for dataset, splits in enumerate(inputs):
        offset = 0
        for split in splits:
            batches.append(MiniBatch(len(batches), dataset, offset, split.items, split.key, split.payload))
            offset = UNKNOWN if UNKNOWN in (offset, split.items) else offset + split.items
    return batches


split_lists = st.lists(
    st.builds(
        Split, payload=st.binary(max_size=20), items=st.sampled_from([0, 1, 10, UNKNOWN]), key=st.text(max_size=5)
    ),
    max_size=30,
)


@given(inputs=st.lists(split_lists, min_size=1, max_size=3), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_range_of_any_plan(inputs: list[list[Split]], data: st.DataObject, tmp_path: Path) -> None:
    """Built and read back, with chunks of four so that ranges cross them; several inputs, bytes of any kind."""
    want = expected(*inputs)
    path = tmp_path / "plan.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "CHUNK", 4)
        built = Plan.build([Listed(splits) for splits in inputs], map)
        built.write(path)
        for plan in (built, Plan.read(path)):
            assert plan.total == len(want)
            counts = [batch.items for batch in want]
            assert plan.items == (UNKNOWN if UNKNOWN in counts else sum(counts))
            first = data.draw(st.integers(0, len(want)))
            count = data.draw(st.integers(0, len(want) - first))
            assert list(plan.batches(first, count)) == want[first : first + count]
            assert [plan.mini_batch(batch.index) for batch in want] == want
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("total", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_round_trip_at_the_real_chunk_size(total: int, tmp_path: Path) -> None:
    splits = [Split(b"\xff%d" % index, index % 3) for index in range(total)]
    Plan.build([Listed(splits)], map).write(tmp_path / "plan.parquet")
    plan = Plan.read(tmp_path / "plan.parquet")
    assert plan.total == total
    assert plan.items == sum(split.items for split in splits)
    want = expected(splits)
    for first in {0, CHUNK - 2, CHUNK, total - 2} & set(range(total)):
        count = min(5, total - first)
        assert list(plan.batches(first, count)) == want[first : first + count]


@pytest.mark.parametrize("content", [None, b"", b"no parquet at all"])
def test_a_plan_that_cannot_be_read_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "plan.parquet").write_bytes(content)
    with pytest.raises(RunDirectoryError, match=r"cannot read the plan .*plan\.parquet"):
        Plan.read(tmp_path / "plan.parquet")


def test_reading_leaves_no_thread(tmp_path: Path) -> None:
    """One of pyarrow's that still holds the file when the process ends aborts it."""
    Plan([]).write(tmp_path / "plan.parquet")
    script = (
        "import os; from pathlib import Path; from mpibatch.planning.plan import Plan; "
        "before = len(os.listdir('/proc/self/task')); Plan.read(Path('plan.parquet')); "
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout == "0\n"


class Warns(Listed):
    """An input that something is the matter with, which a mapped function sees; others log meanwhile."""

    def plan(self, parallel_map: Map[Any, Any]) -> Iterator[Split]:
        yield from self.splits
        logging.getLogger("mpibatch.mpi").warning("rank 3 is late")
        self.warnings = list(parallel_map(str.upper, ["odd"]))


def test_warnings_are_those_of_the_datasets() -> None:
    """In the order of the inputs, from whichever rank; what others log in this process meanwhile is none of them."""
    plan = Plan.build([Warns([Split(b"a")]), Listed([Split(b"b")]), Warns([])], map)
    assert plan.warnings == ("ODD", "ODD")


def test_warnings_of_a_table_by_keys(tmp_path: Path) -> None:
    """What the input by blocks warns of is passed on."""
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    data = open_dataset(Input("t", InputType.CSV, (str(path),)), None, ("a",))
    (warning,) = Plan.build([data], map).warnings
    assert "cannot be split" in warning
