"""Results log, OutcomeTable and Assembly together, beside a model: whatever order results arrive in, the output is the
rows in plan order, failed_items.jsonl the failures in plan order, and one schema holds for the whole file."""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpibatch.attempt_table import ATTEMPT_DTYPE
from mpibatch.attempts import AttemptOutcome, Failure, encode_failures
from mpibatch.config.schema import RowFormat
from mpibatch.errors import RunDirectoryError
from mpibatch.liveness.lease import acquire
from mpibatch.output.base import AppendFormat, FinalizeFormat
from mpibatch.output.csv import CsvFormat
from mpibatch.output.lines import LineFormat
from mpibatch.planning.plan import Plan
from mpibatch.runs.checksummed_file import ChecksummedFile
from mpibatch.runs.directory import RunDirectory, create_at
from mpibatch.runs.log_records import RecordType, read_records
from mpibatch.runs.recovery import RecoveredRun
from mpibatch.runs.run_writer import RunWriter
from mpibatch.types import UNKNOWN, Split
from tests.payloads import files_payload
from tests.planning.test_plan import Listed


@dataclass(frozen=True)
class Outcome:
    """One mini-batch's final attempt."""

    items: int
    rows: bytes = b""
    schema: bytes = b""
    failures: tuple[Failure, ...] = ()

    @property
    def succeeded(self) -> int:
        return self.rows.count(b"\n")


def user_error(*lost: int) -> Failure:
    return Failure("user_error", "ValueError: no", "Traceback ...", list(lost) or None, rank=1, tries=3, host="node")


class Run:
    """A recorder over a plan in which mini-batch i has the files i_0, i_1, ..."""

    def __init__(
        self, folder: str | Path, outcomes: list[Outcome], format: AppendFormat | FinalizeFormat | None
    ) -> None:
        self.directory: RunDirectory = create_at(Path(folder) / "run")
        self.outcomes = outcomes
        names = [[f"{index}_{item}" for item in range(outcome.items)] for index, outcome in enumerate(outcomes)]
        slices = [Split(files_payload(group), len(group)) for group in names]
        self.output = self.directory.outputs / "out.txt"
        dataset = Listed(slices)
        self.lease = acquire(self.directory.path)
        recovered = RecoveredRun.fresh(Plan.build([dataset], map))
        self.writer = RunWriter(self.directory, recovered, [dataset], format, self.output, self.lease)
        self.ids = {schema: number for number, schema in enumerate(sorted({o.schema for o in outcomes} - {b""}), 1)}
        self.ids[b""] = 0
        for schema, number in self.ids.items():
            if number:
                self.writer.add_schema(number, schema)

    def arrive(self, indices: list[int], final: bool = True) -> None:
        records = np.zeros(len(indices), dtype=ATTEMPT_DTYPE)
        data = b""
        for record, index in zip(records, indices, strict=True):
            outcome = self.outcomes[index]
            failure = encode_failures(outcome.failures) if outcome.failures else b""
            cause = AttemptOutcome.SUCCEEDED if outcome.succeeded or not outcome.items else AttemptOutcome.USER_ERROR
            for field, value in {
                "index": index,
                "items": outcome.items,
                "succeeded": min(outcome.succeeded, outcome.items),
                "row_bytes": len(outcome.rows),
                "failure_bytes": len(failure),
                "schema": self.ids[outcome.schema],
                "cause": cause,
            }.items():
                record[field] = value
            data += outcome.rows + failure
        self.writer.record_attempts(records, data)
        self.writer.append_final(records, data, np.full(len(indices), final))

    def finish(self) -> tuple[bytes, list[dict[str, Any]], list[int]]:
        """Output, failed items, and the items of each success that was refused."""
        while self.writer.assembly.advance():
            pass
        rejected = [one.items for one in self.writer.assembly.take_rejected()]
        self.writer.assembly.finish()
        self.writer.close(keep=True)
        self.lease.release()
        failed = [json.loads(line) for line in self.directory.failed_items.read_text().splitlines()]
        return self.output.read_bytes() if self.output.exists() else b"", failed, rejected


@st.composite
def outcome(draw: st.DrawFn, schemas: tuple[bytes, ...] = (b"",)) -> Outcome:
    items = draw(st.integers(1, 4))
    rows = draw(st.integers(0, items))
    text = draw(st.sampled_from([b"x", b"a longer row of text", b""]))
    failures: tuple[Failure, ...] = ()
    if rows < items:
        how = draw(st.sampled_from(["short", "isolated", "all"]))
        lost = items - rows
        if how == "short":
            failures = (replace(user_error(), cause="wrong_return", missing=lost),)
        elif how == "isolated":
            failures = tuple(user_error(item) for item in range(lost))
        else:
            rows, failures = 0, (user_error(),)
    return Outcome(items, (text + b"\n") * rows, draw(st.sampled_from(schemas)) if rows else b"", failures)


def failed_lines(index: int, outcome: Outcome) -> list[tuple[int, str | int]]:
    """What failed_items.jsonl has to say of one mini-batch: (mini-batch, path or number missing)."""
    lines: list[tuple[int, str | int]] = []
    for failure in outcome.failures:
        if failure.missing:
            lines.append((index, failure.missing))
        else:
            lost = range(outcome.items) if failure.lost is None else failure.lost
            lines += [(index, f"/data/{index}_{item}") for item in lost]
    return lines


def found_lines(failed: list[dict[str, Any]]) -> list[tuple[int, str | int]]:
    return [(line["mini_batch"], line["missing"] if "missing" in line else line["item"]) for line in failed]


def arrive_anyhow(run: Run, data: st.DataObject) -> None:
    """In any order, in groups of any size, with assembly now and then; the output so far is always a prefix."""
    order = data.draw(st.permutations(range(len(run.outcomes))))
    frontier = 0
    while order:
        group, order = order[: (size := data.draw(st.integers(1, 6)))], order[size:]
        run.arrive(list(group))
        if data.draw(st.booleans()):
            run.writer.assembly.advance(budget=data.draw(st.sampled_from([1, 10, 1 << 20])))
            assert run.writer.assembly.frontier >= frontier
            frontier = run.writer.assembly.frontier


@given(st.lists(outcome(), max_size=25), st.data())
@settings(deadline=None)
def test_text_in_any_order_of_arrival(outcomes: list[Outcome], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder, outcomes, LineFormat())
        arrive_anyhow(run, data)
        output, failed, rejected = run.finish()
        assert output == b"".join(outcome.rows for outcome in outcomes)
        assert found_lines(failed) == [
            line for index, outcome in enumerate(outcomes) for line in failed_lines(index, outcome)
        ]
        assert rejected == []


SCHEMAS = (b'["a"]', b'["b"]', b"1")


@given(st.lists(outcome(schemas=SCHEMAS), max_size=15), st.data())
@settings(deadline=None)
def test_the_first_rows_in_plan_order_decide_the_columns(outcomes: list[Outcome], data: st.DataObject) -> None:
    """Not the first to arrive. What does not fit has failed, all of its items, and is said to assembly's user."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder, outcomes, CsvFormat(RowFormat()))
        arrive_anyhow(run, data)
        output, failed, rejected = run.finish()
        declared = next((outcome.schema for outcome in outcomes if outcome.rows), b"")
        fits = [not outcome.rows or outcome.schema == declared for outcome in outcomes]
        header = {b'["a"]': b"a\n", b'["b"]': b"b\n"}.get(declared, b"")
        rows = b"".join(outcome.rows for outcome, fit in zip(outcomes, fits, strict=True) if fit)
        assert output == header + rows
        expected: list[tuple[int, str | int]] = []
        for index, (outcome, fit) in enumerate(zip(outcomes, fits, strict=True)):
            rejection = replace(outcome, failures=(user_error(),))
            expected += failed_lines(index, outcome if fit else rejection)
        assert found_lines(failed) == expected
        assert sorted(rejected) == sorted(o.succeeded for o, fit in zip(outcomes, fits, strict=True) if not fit)


def test_a_rejection_names_both_schemas(tmp_path: Path) -> None:
    run = Run(tmp_path, [Outcome(1, b"1\n", b'["a"]'), Outcome(1, b"2\n", b'["b"]')], CsvFormat(RowFormat()))
    run.arrive([1, 0])
    output, (line,), rejected = run.finish()
    assert output == b"a\n1\n"
    assert rejected == [1]
    assert line["cause"] == "wrong_return"
    assert "['a']" in line["error"]
    assert "['b']" in line["error"]


def test_nothing_is_written_beyond_the_frontier(tmp_path: Path) -> None:
    """Results that run ahead wait in the log."""
    run = Run(tmp_path, [Outcome(1, b"%d\n" % n) for n in range(5)], LineFormat())
    run.arrive([4, 1, 2])
    assert run.writer.assembly.advance() is False
    assert run.output.read_bytes() == b""
    run.arrive([0])
    run.writer.assembly.advance()
    assert run.output.read_bytes() == b"0\n1\n2\n"
    assert run.writer.assembly.checkpoint.frontier == 3
    run.arrive([3])
    assert run.finish()[0] == b"0\n1\n2\n3\n4\n"


def test_rows_larger_than_a_piece_are_copied_whole(tmp_path: Path) -> None:
    big = b"x" * (9 << 20) + b"\n"
    run = Run(tmp_path, [Outcome(1, b"a\n"), Outcome(1, big), Outcome(1, b"b\n")], LineFormat())
    run.arrive([2, 1, 0])
    assert run.finish()[0] == b"a\n" + big + b"b\n"


def test_summary_only_leaves_no_output_but_failures(tmp_path: Path) -> None:
    run = Run(tmp_path, [Outcome(2, b"", b"", (user_error(),)), Outcome(1)], None)
    run.arrive([0, 1])
    output, failed, _ = run.finish()
    assert (output, found_lines(failed)) == (b"", [(0, "/data/0_0"), (0, "/data/0_1")])
    assert not run.output.exists()


def test_attempts_that_are_not_final_leave_an_event_and_no_row(tmp_path: Path) -> None:
    run = Run(tmp_path, [Outcome(1, b"", b"", (user_error(),)), Outcome(1, b"row\n")], LineFormat())
    run.arrive([0], final=False)
    run.arrive([0], final=False)
    run.outcomes[0] = Outcome(1, b"at last\n")
    run.arrive([0, 1])
    output, failed, _ = run.finish()
    assert (output, failed) == (b"at last\nrow\n", [])
    events = pq.read_table(run.directory.path / "events.parquet").to_pydict()
    assert events["index"] == [0, 0, 0, 1]
    assert events["cause"] == ["user_error", "user_error", "succeeded", "succeeded"]
    assert run.directory.events.exists(), "a resume adds to them"
    assert run.writer.attempts[AttemptOutcome.USER_ERROR] == 2
    errors = run.directory.error_log.read_text()
    line = "mini-batch 0, rank 1 on node, try 3: user_error: ValueError: no\n"
    assert errors == f"{line}Traceback ...\n\n{line}(traceback as before)\n\n", "ten thousand equal ones are one"


def test_a_mixed_message_logs_only_what_is_final(tmp_path: Path) -> None:
    """Rows and failures of a message lie one after the other: what is left out must not shift the others."""
    outcomes = [Outcome(1, b"%d\n" % n) for n in range(4)]
    outcomes[2] = Outcome(2, b"", b"", (user_error(),))
    run = Run(tmp_path, outcomes, LineFormat())
    run.arrive([0])
    records = np.zeros(3, dtype=ATTEMPT_DTYPE)
    failure = encode_failures([user_error()])
    records["index"] = [1, 2, 3]
    records["items"] = [1, 2, 1]
    records["succeeded"] = [1, 0, 1]
    records["row_bytes"] = [2, 0, 2]
    records["failure_bytes"] = [0, len(failure), 0]
    data = b"1\n" + failure + b"3\n"
    run.writer.append_final(records, data, np.array([True, False, True]))
    run.arrive([2])
    output, failed, _ = run.finish()
    assert output == b"0\n1\n3\n"
    assert found_lines(failed) == [(2, "/data/2_0"), (2, "/data/2_1")]
    results = [record for record in read_records(run.directory.results(1)) if record.type is RecordType.RESULTS]
    assert [record.count for record in results] == [1, 2, 1]


def test_a_run_without_failures_needs_no_log_any_more(tmp_path: Path) -> None:
    run = Run(tmp_path, [Outcome(1, b"row\n")], LineFormat())
    run.arrive([0])
    while run.writer.assembly.advance():
        pass
    run.writer.assembly.finish()
    run.writer.close(keep=False)
    run.lease.release()
    assert not run.directory.results(1).exists()
    assert run.output.read_bytes() == b"row\n"


@pytest.mark.parametrize(
    ("touch", "said"),
    [
        (lambda path: path.unlink(), "was deleted"),
        (lambda path: os.truncate(path, 0), "has 0 bytes instead of 4"),
        (lambda path: path.write_bytes(b"row\nmore\n"), "has 9 bytes instead of 4"),
        (lambda path: (path.unlink(), path.write_bytes(b"row\n")), "was replaced by another file"),
        (lambda path: path.write_bytes(b"wor\n"), "has other bytes than were written"),
    ],
    ids=["deleted", "cut", "appended to", "replaced", "edited"],
)
def test_an_output_that_others_touched_is_not_complete(
    tmp_path: Path, touch: Callable[[Path], None], said: str
) -> None:
    """The log is what it can be made from again, so the run must not end as one that needs none."""
    run = Run(tmp_path, [Outcome(1, b"row\n")], LineFormat())
    run.arrive([0])
    run.writer.assembly.advance()
    touch(run.output)
    with pytest.raises(RunDirectoryError, match=said) as caught:
        run.writer.assembly.finish()
    assert str(run.output) in str(caught.value)
    assert "mpibatch resume" in str(caught.value)


def test_an_output_is_not_opened_through_a_link(tmp_path: Path) -> None:
    """A link in a prepared run directory would have another file overwritten."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out").symlink_to(victim)
    with pytest.raises(RunDirectoryError, match="links are not followed"):
        ChecksummedFile(tmp_path / "out")
    assert victim.read_text() == "precious"


def test_a_schema_is_logged_once(tmp_path: Path) -> None:
    """Every rank announces it; the log tells what the numbers of its records mean."""
    run = Run(tmp_path, [Outcome(1, b"1\n", b'["a"]')], CsvFormat(RowFormat()))
    run.writer.add_schema(1, b'["a"]')
    run.arrive([0])
    run.finish()
    kinds = [record.type for record in read_records(run.directory.results(1))]
    assert kinds == [RecordType.SCHEMA, RecordType.RESULTS, RecordType.CHECKPOINT, RecordType.ENDED]


@pytest.mark.parametrize("size", [0, 100])
def test_a_full_disk_says_that_the_log_has_everything(tmp_path: Path, size: int) -> None:
    from tests.runs.test_results_log import file_size_limit

    run = Run(tmp_path, [Outcome(1, b"x" * 1000 + b"\n")], LineFormat())
    run.arrive([0])
    with file_size_limit(size), pytest.raises(RunDirectoryError, match="mpibatch resume"):
        run.writer.assembly.advance()


def test_items_that_cannot_be_counted_are_named_by_their_file(tmp_path: Path) -> None:
    from mpibatch.runs.failed_items import lines
    from mpibatch.types import MiniBatch

    batch = MiniBatch(3, 0, 0, UNKNOWN, '{"k": 1}', files_payload([b"a", b"b"]))
    text = lines(batch, Listed([]), UNKNOWN, [user_error()])
    found = [json.loads(line) for line in text.splitlines()]
    assert [line["item"] for line in found] == ["/data/a", "/data/b"]
    assert all(line["key"] == {"k": 1} and line["mini_batch"] == 3 for line in found)


def test_a_short_return_is_one_line_with_its_candidates(tmp_path: Path) -> None:
    from mpibatch.runs.failed_items import lines
    from mpibatch.types import MiniBatch

    batch = MiniBatch(0, 0, 0, 3, "", files_payload([b"a", b"b\xff", b"c"]))
    text = lines(batch, Listed([]), 3, [Failure("wrong_return", "2 missing", missing=2)])
    (line,) = [json.loads(line) for line in text.splitlines()]
    assert line["missing"] == 2
    assert [candidate["item"] for candidate in line["candidates"]] == ["/data/a", "/data/b\udcff", "/data/c"]
    assert "item" not in line
