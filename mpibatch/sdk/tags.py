"""Tags and properties, in the forms in which programs give them."""

from collections.abc import Iterable, Mapping
from typing import Any

Tags = Mapping[str, Any] | Iterable[Any] | None


def tag_pairs(tags: Tags) -> list[tuple[str, str | None]]:
    """From {"k": v}, [["k", v]], ["k"] or "k"; the value is None where none is given."""
    if tags is None:
        return []
    if isinstance(tags, Mapping):
        return [(str(key), str(value)) for key, value in tags.items()]
    entries = [tags] if isinstance(tags, str) else list(tags)
    return [(entry, None) if isinstance(entry, str) else (str(entry[0]), str(entry[1])) for entry in entries]


def tag_dict(tags: Tags) -> dict[str, str]:
    """As they are kept: a tag without a value has an empty one."""
    return {key: value or "" for key, value in tag_pairs(tags)}


def has_tags(tags: Mapping[str, str], wanted: Tags) -> bool:
    """Whether all are there, with their values where these are given."""
    return all(key in tags and value in (None, tags[key]) for key, value in tag_pairs(wanted))
