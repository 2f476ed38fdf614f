"""The first mini-batch of an input as the script will get it: columns, their types, and the first row.

CheckedInput --Dataset.load--> mini-batch --> lines of text
"""

from typing import Any

from mpibatch.config.choices import InputType
from mpibatch.datasets.base import LoadError
from mpibatch.planning.check import CheckedInput
from mpibatch.reporting.text import printable

COLUMNS_SHOWN = 50
WIDTH = 60  # characters of a value


def preview(checked: CheckedInput) -> list[str]:
    """A line a column; nothing where mini-batches are files, or where there are none."""
    if checked.input is None or checked.input.type in (InputType.FILES, InputType.TAR) or not checked.plan.total:
        return []
    try:
        loaded = checked.dataset.load(checked.plan.mini_batch(0).payload)
    except LoadError as error:
        return [f"its first mini-batch cannot be loaded: {printable(str(error))}"]
    if not loaded.items:
        return ["its first mini-batch has no items"]
    value = loaded.value
    if isinstance(value, list):
        return [f"run() gets a list of {len(value):,} str, the first of them {_short(value[0])}"]
    if isinstance(value, dict):
        rows = [(name, f"{array.dtype} {list(array.shape)}", array[0]) for name, array in value.items()]
        return _table("a dict of arrays", loaded.items, rows)
    rows = [(str(name), str(kind), value.iloc[0, at]) for at, (name, kind) in enumerate(value.dtypes.items())]
    return _table("a DataFrame", loaded.items, rows)


def _table(what: str, items: int, rows: list[tuple[str, str, Any]]) -> list[str]:
    names = max((len(name) for name, _, _ in rows), default=0)
    kinds = max((len(kind) for _, kind, _ in rows), default=0)
    lines = [
        printable(f"  {name:<{names}}  {kind:<{kinds}}  {_short(value)}") for name, kind, value in rows[:COLUMNS_SHOWN]
    ]
    if len(rows) > COLUMNS_SHOWN:
        lines.append(f"  and {len(rows) - COLUMNS_SHOWN} more")
    return [f"run() gets {what} of {items:,} rows; columns, types and the first row:", *lines]


def _short(value: Any) -> str:
    text = repr(value.item() if hasattr(value, "item") and not getattr(value, "ndim", 0) else value)
    text = " ".join(text.split())
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."
