"""A YAML file as plain data, or a JobFileError that says what is wrong with the file.

Stricter than YAML where YAML is lenient to a fault: a key given twice is an error, and so are a mapping
key that is no text, a list that contains itself, and aliases that blow a small file up to an enormous one.
"""

import os
from typing import Any

import yaml

from mpibatch.config.problems import Key, Problems, escape, format_key, format_value
from mpibatch.errors import JobFileError

_LARGEST_FILE = 16 * 1024**2
_LARGEST_TREE = 1_000_000


def read_document(path: str) -> dict[Any, Any]:
    """The mapping in the file at `path`."""
    text = _read_text(path)
    problems: list[str] = []
    try:
        data = _parse(text, problems)
        size = _measure(data, {})
    except yaml.MarkedYAMLError as error:
        raise JobFileError(path, [_explain(error)]) from None
    except RecursionError:
        raise JobFileError(path, ["it is nested too deeply, or contains itself"]) from None
    except Exception as error:  # PyYAML lets a dozen kinds escape, for `2024-13-45` or `!!bool x`
        problem = f"it holds a value that YAML cannot read ({type(error).__name__}: {escape(str(error))})"
        raise JobFileError(path, [problem]) from None
    if size >= _LARGEST_TREE:
        problems.append("it contains itself, or its aliases make it enormous; write it out without & and *")
    if problems:
        raise JobFileError(path, problems)
    if data is None:
        raise JobFileError(path, ["it is empty; `mpibatch init NAME` writes a job file to begin with"])
    if not isinstance(data, dict):
        raise JobFileError(
            path, [f"it holds {format_value(data)}; a job file is a mapping that begins with `name: ...`"]
        )
    return data


def drop_unusable(tree: object, key: Key, problems: Problems) -> object:
    """`tree` without mapping keys that are no text. Those, and text that no path can hold, are problems."""
    if isinstance(tree, list):
        return [drop_unusable(value, (*key, index), problems) for index, value in enumerate(tree)]
    if isinstance(tree, str) and not _usable(tree):
        problems.add_invalid(key, tree, "text without NUL characters and halves of surrogate pairs")
    if not isinstance(tree, dict):
        return tree
    kept: dict[str, object] = {}
    for name, value in tree.items():
        if isinstance(name, str) and _usable(name):
            kept[name] = drop_unusable(value, (*key, name), problems)
        else:
            problems.add_general(
                f"{format_key(key)} has the key {format_value(name)}, which is no text; put it in quotes"
            )
    return kept


def _usable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


class _Loader(yaml.SafeLoader):
    """Notes keys that are given twice, which YAML forbids and PyYAML lets pass."""

    def __init__(self, text: str, problems: list[str]) -> None:
        super().__init__(text)
        self.problems = problems

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        assert node is not None
        lines: dict[tuple[str, str], int] = {}
        for name, _ in node.value:
            if not isinstance(name, yaml.ScalarNode):
                continue
            line = name.start_mark.line + 1
            same = (name.tag, name.value)
            if same in lines:
                self.problems.append(
                    f"line {line}: the key {format_value(name.value)} was already given on line {lines[same]}"
                )
            lines[same] = line
        return node


def _parse(text: str, problems: list[str]) -> Any:
    loader = _Loader(text, problems)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _read_text(path: str) -> str:
    try:
        if os.path.isdir(path):
            raise JobFileError(path, [_about_folder(path)])
        if os.path.lexists(path) and not os.path.isfile(path):
            raise JobFileError(path, ["it is not a regular file (or a link that leads nowhere)"])
        with open(path, "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        raise JobFileError(path, [f"there is no such file{_similar(path)}"]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise JobFileError(path, [f"it cannot be read: {reason}"]) from None
    if len(data) > _LARGEST_FILE:
        raise JobFileError(
            path, ["it is larger than 16 MB; list many paths in a file and use `path: {manifest: FILE}`"]
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise JobFileError(path, ["it is not text in UTF-8, so it is no job file"]) from None
    if "\0" in text:
        raise JobFileError(path, ["it is a binary file, not a job file"])
    return text


def _about_folder(path: str) -> str:
    inside = os.path.join(path, "job.yaml")
    return f"it is a folder; give the job file{f': {inside}' if os.path.isfile(inside) else ' in it'}"


def _similar(path: str) -> str:
    """Other YAML files of the same folder."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f"; the folder {format_value(folder)} does not exist either"
    found = sorted(name for name in os.listdir(folder) if name.endswith((".yaml", ".yml")))[:5]
    return f"; in that folder there is {', '.join(format_value(name) for name in found)}" if found else ""


def _explain(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    advice = "; YAML is indented with spaces, not tabs" if "'\\t'" in (error.problem or "") else ""
    return f"it is not valid YAML: {where}{escape(error.problem or error.context or '')}{advice}"


def _measure(tree: object, known: dict[int, int]) -> int:
    """How many values `tree` stands for, shared parts counted wherever they appear; enormous if endless."""
    if not isinstance(tree, dict | list):
        return 1
    if id(tree) not in known:
        known[id(tree)] = _LARGEST_TREE  # found again below itself: it contains itself
        values = tree.values() if isinstance(tree, dict) else tree
        known[id(tree)] = 1 + sum(_measure(value, known) for value in values)
    return known[id(tree)]
