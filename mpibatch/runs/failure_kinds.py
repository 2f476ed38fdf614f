"""Failures grouped by kind: the cause, the type of the error, and the user's line that raised it.

    RunWriter --every failed attempt--> FailureKinds --the most frequent--> status.json, summary.json
    failed_items.jsonl --every item without a row--> FailureKinds --> `mpibatch failures`, the report

Only the first of each kind is kept, with its traceback, so that a million failures take the room of one.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mpibatch.attempts import Failure
from mpibatch.runs.directory import RunDirectory
from mpibatch.types import UNKNOWN

MOST_KINDS = 200  # beyond these, kinds are counted together
LONGEST_TRACEBACK = 8000  # characters
_FRAME = re.compile(r'^  File "(.*)", line (\d+), in (.*)$', re.MULTILINE)
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


@dataclass(frozen=True, slots=True)
class FailureKind:
    """Failures of one kind, and the first of them as an example.

    cause:      name of an AttemptOutcome in lower case, or init
    error:      one line
    where:      `score.py:12 in run`, the last frame of the user's traceback; "" without a traceback
    count:      how many attempts, or items, have failed so
    mini_batch: UNKNOWN for init()
    item:       the first item of the mini-batch that was lost; "" where none is known
    """

    cause: str
    error: str
    where: str
    count: int = 1
    traceback: str = ""
    mini_batch: int = UNKNOWN
    item: str = ""
    rank: int = UNKNOWN
    host: str = ""


class FailureKinds:
    """Counts failures by kind."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], FailureKind] = {}

    def add(
        self, failure: Failure, mini_batch: int = UNKNOWN, item: Callable[[], str] = lambda: "", count: int = 1
    ) -> None:
        """One more. item: asked for the name of the item that failed, of the first of a kind."""
        where = last_frame(failure.traceback)
        # the text of an error without a traceback names mini-batches and ranks
        error = failure.error.partition(":")[0] if failure.traceback else _NUMBER.sub("#", failure.error)
        key = (failure.cause, error, where)
        known = self._kinds.get(key)
        if known is None and len(self._kinds) >= MOST_KINDS:
            key = ("other", "", "")
            known = self._kinds.get(key)
        if known is not None:
            self._kinds[key] = replace(known, count=known.count + count)
            return
        self._kinds[key] = FailureKind(
            failure.cause,
            failure.error,
            where,
            count,
            failure.traceback[-LONGEST_TRACEBACK:],
            mini_batch,
            item(),
            failure.rank,
            failure.host,
        )

    def in_order(self) -> list[FailureKind]:
        """All kinds, those that were seen first first."""
        return list(self._kinds.values())

    def most_frequent(self, at_most: int = MOST_KINDS + 1) -> tuple[FailureKind, ...]:
        """The first kind that was seen, and then the most frequent."""
        kinds = self.in_order()
        return tuple(kinds[:1] + sorted(kinds[1:], key=lambda kind: -kind.count)[: at_most - 1])


def last_frame(traceback: str) -> str:
    """`score.py:12 in run`: where a traceback ends; "" where it is none."""
    frames = _FRAME.findall(traceback)
    if not frames:
        return ""
    path, line, function = frames[-1]
    return f"{path.rpartition('/')[2]}:{line} in {function}"


def read_failed_items(directory: RunDirectory, on_item: Callable[[dict[str, Any]], None] | None = None) -> FailureKinds:
    """The items without a row so far, by kind. on_item: is given each line of failed_items.jsonl too."""
    kinds = FailureKinds()
    try:
        file = directory.failed_items.open("rb")
    except OSError:
        return kinds
    with file:
        last = Failure("", "")  # with a traceback: those that follow it may be of the same
        last_mini_batch = UNKNOWN
        for line in file:
            try:
                record = json.loads(line)
                failure = Failure(record["cause"], record["error"], record["traceback"])
                failure = replace(failure, rank=record["rank"], host=record["host"], tries=record["tries"])
                if failure.traceback:
                    last, last_mini_batch = failure, record["mini_batch"]
                elif replace(last, traceback="") == failure and last_mini_batch == record["mini_batch"]:
                    failure = last
            except (ValueError, KeyError, TypeError):
                continue  # the line that is being written
            if on_item is not None:
                on_item(record)
            count = record.get("missing") or max(1, record.get("count", 1))
            name = str(record.get("item") or (record.get("candidates") or [{}])[0].get("item", ""))
            kinds.add(failure, record["mini_batch"], lambda name=name: name, count)  # type: ignore[misc]
    return kinds
