"""failed_items.jsonl: one line an item that has no row, in plan order.

{"item", "mini_batch", "cause", "error", "traceback", "tries", "rank", "host"}  and where they apply
"rows" or "bytes" ([first, last) within the file), "count" (how many rows the line stands for), "key";
of several items that one failure has lost the first has its traceback, the others "": it may be long, and they many
a short return is one line with "missing" and "candidates" in place of "item"
"""

import json
from typing import Any

from mpibatch.attempts import Failure
from mpibatch.datasets.base import Dataset
from mpibatch.types import MiniBatch


def lines(mini_batch: MiniBatch, dataset: Dataset, items: int, failures: list[Failure]) -> bytes:
    """The lines of one mini-batch; `items` is how many it has, UNKNOWN where it could not be read."""
    records: list[dict[str, Any]] = []
    for failure in failures:
        common: dict[str, Any] = {
            "mini_batch": mini_batch.index,
            "cause": failure.cause,
            "error": failure.error,
            "traceback": failure.traceback,
            "tries": failure.tries,
            "rank": failure.rank,
            "host": failure.host,
        }
        if mini_batch.key:
            common["key"] = json.loads(mini_batch.key)
        named = failure.located
        if named is None:
            named = [item.to_json() for item in dataset.failed_items(mini_batch.payload, failure.lost, items)]
        if failure.missing:
            records.append({"missing": failure.missing, "candidates": named, **common})
        else:
            records += [{**item, **common} for item in named[:1]]
            records += [{**item, **common, "traceback": ""} for item in named[1:]]
    # ensure_ascii: a name that is no UTF-8 stands as lone surrogates, which only escapes can carry
    return "".join(json.dumps(record) + "\n" for record in records).encode()
