"""The plan: what was planned is what is granted, before and after plan.parquet, across its chunks."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpibatch.config.schema import Input, InputType
from mpibatch.datasets.files import Files
from mpibatch.errors import RunDirectoryError
from mpibatch.runs import plan as plans
from mpibatch.runs.plan import CHUNK, Plan
from mpibatch.types import UNKNOWN, Map, MiniBatch, Slice


class Listed(Files):
    """An input whose slices are given."""

    def __init__(self, slices: list[Slice], frozen: bytes = b"") -> None:
        super().__init__(Input("listed", InputType.FILES, ("/data",)), None)
        self.slices = slices
        self.frozen = frozen

    def plan(self, map: Map[Any, Any]) -> Iterator[Slice]:
        return iter(self.slices)

    def freeze(self) -> bytes:
        return self.frozen


def expected(*inputs: list[Slice]) -> list[MiniBatch]:
    batches: list[MiniBatch] = []
    for dataset, slices in enumerate(inputs):
        offset = 0
        for slice in slices:
            batches.append(MiniBatch(len(batches), dataset, offset, slice.items, slice.key, slice.payload))
            offset = UNKNOWN if UNKNOWN in (offset, slice.items) else offset + slice.items
    return batches


slices = st.lists(
    st.builds(
        Slice, payload=st.binary(max_size=20), items=st.sampled_from([0, 1, 10, UNKNOWN]), key=st.text(max_size=5)
    ),
    max_size=30,
)


@given(inputs=st.lists(slices, min_size=1, max_size=3), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_range_of_any_plan(inputs: list[list[Slice]], data: st.DataObject, tmp_path: Path) -> None:
    """Built and read back, with chunks of four so that ranges cross them; several inputs, bytes of any kind."""
    want = expected(*inputs)
    path = tmp_path / "plan.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "CHUNK", 4)
        built = Plan.build([Listed(slices, bytes([place])) for place, slices in enumerate(inputs)], map)
        built.write(path)
        for plan in (built, Plan.read(path)):
            assert plan.total == len(want)
            assert plan.frozen == tuple(bytes([place]) for place in range(len(inputs)))
            counts = [batch.items for batch in want]
            assert plan.items == (UNKNOWN if UNKNOWN in counts else sum(counts))
            first = data.draw(st.integers(0, len(want)))
            count = data.draw(st.integers(0, len(want) - first))
            assert list(plan.descriptors(first, count)) == want[first : first + count]
            assert [plan.mini_batch(batch.index) for batch in want] == want
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("total", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_round_trip_at_the_real_chunk_size(total: int, tmp_path: Path) -> None:
    slices = [Slice(b"\xff%d" % index, index % 3) for index in range(total)]
    Plan.build([Listed(slices)], map).write(tmp_path / "plan.parquet")
    plan = Plan.read(tmp_path / "plan.parquet")
    assert plan.total == total
    assert plan.items == sum(slice.items for slice in slices)
    want = expected(slices)
    for first in {0, CHUNK - 2, CHUNK, total - 2} & set(range(total)):
        count = min(5, total - first)
        assert list(plan.descriptors(first, count)) == want[first : first + count]


@pytest.mark.parametrize("content", [None, b"", b"no parquet at all"])
def test_a_plan_that_cannot_be_read_is_said(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "plan.parquet").write_bytes(content)
    with pytest.raises(RunDirectoryError, match=r"cannot read the plan .*plan\.parquet"):
        Plan.read(tmp_path / "plan.parquet")


def test_reading_leaves_no_thread(tmp_path: Path) -> None:
    """One of pyarrow's that still holds the file when the process ends aborts it."""
    Plan([], ()).write(tmp_path / "plan.parquet")
    script = (
        "import os; from pathlib import Path; from mpibatch.runs.plan import Plan; "
        "before = len(os.listdir('/proc/self/task')); Plan.read(Path('plan.parquet')); "
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout == "0\n"
