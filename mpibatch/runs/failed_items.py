"""failed_items.jsonl: one line an item that has no row, in plan order.

{"item", "mini_batch", "cause", "error", "traceback", "tries", "rank", "host"}  and where they apply
"rows" or "bytes" ([first, last) within the file), "count" (how many rows the line stands for), "key";
a short return is one line with "missing" and "candidates" in place of "item"
"""

import json
from typing import Any

from mpibatch.datasets.base import Dataset, FailedItem
from mpibatch.types import Failure, MiniBatch


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
        named = dataset.describe(mini_batch.payload, failure.lost, items)
        if failure.missing:
            records.append({"missing": failure.missing, "candidates": [_name(item) for item in named], **common})
        else:
            records += [{**_name(item), **common} for item in named]
    # ensure_ascii: a name that is no UTF-8 stands as lone surrogates, which only escapes can carry
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _name(item: FailedItem) -> dict[str, Any]:
    name: dict[str, Any] = {"item": item.item}
    if item.rows is not None:
        name["rows"] = list(item.rows)
    if item.bytes is not None:
        name["bytes"] = list(item.bytes)
    if item.count != 1:
        name["count"] = item.count
    return name
