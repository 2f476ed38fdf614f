"""From what an input names to its files, in plan order. Used while planning only, never in an executor.

    input.paths  --a path as it is written, a folder, a glob-->  absolute paths as bytes
    input.manifest  --one path a line, or NUL-separated-->       likewise, in the manifest's own order

A folder means all files below it. A glob knows `*`, `?`, `[...]`, `**` (any number of folders, none too), `{name}`
(like `*` but at least one character: a partition key) and `{name:3}` (three names, with the `/` between); as in a shell
`*` and `**` pass over names that begin with a dot. A path that exists as it is written is never taken for a glob. Files
come in bytewise order of their path relative to the folder or to the fixed part of the glob. Names are bytes
throughout: Linux allows all but "/" and NUL in them.

Links to folders are followed, except back into a folder that is being listed; a link that leads nowhere
counts as a file, so that it is reported as a failed item and not passed over in silence. Pipes, sockets and
devices are no files.

Memory is one sorted listing per level of the folder being walked: a million files in one folder take 80 MB.
"""

import fnmatch
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from mpibatch.config.globs import KEY, MAGIC, common_root, split_glob
from mpibatch.config.schema import Input
from mpibatch.errors import InputError

_PIECE = re.compile(rf"[*?]|\[!?\]?[^\]]*\]|{KEY}|.", re.DOTALL)  # of a glob
_KEY = re.compile(KEY)
_ENCODING = sys.getfilesystemencoding()
_BLOCK = 1 << 20  # bytes read from a manifest at a time


def root_of(spec: Input) -> str:
    """The folder that payloads are relative to: told from the job file alone, without the file system."""
    if spec.manifest is not None:
        return os.path.dirname(spec.manifest)
    return common_root(spec.paths)


def keys_in_paths(spec: Input) -> tuple[str, ...]:
    """What the keys `{name}` in an input's paths are called, in their order; a path that exists has none."""
    globs = [split_glob(path)[1] for path in spec.paths if "{" in path and not os.path.lexists(path)]
    return tuple(dict.fromkeys(key for pattern in globs for key, _ in _KEY.findall(pattern)))


def normalized(path: str) -> str:
    """An absolute path without empty and "." components; `..` stays, since it may follow a link. URLs stay as they are.

    POSIX leaves the meaning of "//a" to the system; Linux takes it for "/a".
    """
    if "://" in path or not path.startswith("/"):
        return path
    last = "/" if path.endswith("/") and path.strip("/") else ""
    return "/" + "/".join(part for part in path.split("/") if part not in ("", ".")) + last


def find(spec: Input, hidden: bool = True) -> Iterator[bytes]:
    """Absolute paths of all files of an input, in order. Raises InputError where a path names nothing.

    hidden: a folder includes files, and folders, whose names begin with "." or "_"
    """
    if spec.manifest is not None:
        yield from _from_manifest(spec, spec.manifest)
    for path in spec.paths:
        yield from _from_path(spec, path, hidden)


def _from_path(spec: Input, path: str, hidden: bool) -> Iterator[bytes]:
    name = os.fsencode(path.rstrip("/") or "/")
    if "://" in path:
        from mpibatch.datasets import url_io

        found, missed = url_io.find(spec, path, hidden), "nothing matches"
    elif os.path.isdir(name):
        found, missed = _walk(spec, name, _AllFiles(hidden)), "the folder holds no files"
    elif os.path.lexists(name):
        found, missed = iter([name]), ""
    elif MAGIC.search(path):
        fixed, pattern = split_glob(path)
        found, missed = _walk(spec, os.fsencode(fixed), _glob(pattern)), "nothing matches"
        if not os.path.isdir(fixed):
            raise _nothing(spec, path, "nothing matches")
    else:
        raise _nothing(spec, path, "there is no such file or folder")
    if (first := next(found, None)) is None:
        raise _nothing(spec, path, missed)
    yield first
    yield from found


def _nothing(spec: Input, path: str, reason: str) -> InputError:
    where = split_glob(path)[0]
    while not os.path.exists(where) and where not in ("", "/"):
        where = os.path.dirname(where)
    advice = [f"the nearest folder that exists is {where!r}"] if where != path else []
    advice.append("relative paths are relative to the job file")
    if MAGIC.search(path) and "**" not in path:
        advice.append("'*' does not cross folders, '**' does")
    return InputError(f"input {spec.name!r}: {reason}: {path!r}\n  Check it: {'; '.join(advice)}.")


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A glob, matched folder by folder: a state is the number of path components matched so far.

    parts: one regular expression a component; None is `**`
    """

    parts: tuple[re.Pattern[str] | None, ...]

    def start(self) -> frozenset[int]:
        return self._close({0})

    def descend(self, states: frozenset[int], folder: str) -> frozenset[int]:
        """The states inside `folder`; empty if nothing below it can match."""
        after = set()
        for state in states:
            part = self.parts[state]
            if part is None:
                if not folder.startswith("."):
                    after.add(state)
            elif state < len(self.parts) - 1 and part.match(folder):
                after.add(state + 1)
        return self._close(after)

    def matches(self, states: frozenset[int], file: str) -> bool:
        last = len(self.parts) - 1
        if last not in states:
            return False
        part = self.parts[last]
        return not file.startswith(".") if part is None else part.match(file) is not None

    def _close(self, states: set[int]) -> frozenset[int]:
        """`**` may match no folder at all, so its successor is reached with it."""
        for first in sorted(states):
            state = first
            while state < len(self.parts) - 1 and self.parts[state] is None:
                state += 1
                states.add(state)
        return frozenset(states)


@dataclass(frozen=True, slots=True)
class _AllFiles:
    """What a folder means: all files below it."""

    hidden: bool = True

    def start(self) -> frozenset[int]:
        return frozenset({0})

    def descend(self, states: frozenset[int], folder: str) -> frozenset[int]:
        return states if self.matches(states, folder) else frozenset()

    def matches(self, states: frozenset[int], file: str) -> bool:
        return self.hidden or not file.startswith((".", "_"))


def _glob(pattern: str) -> _Pattern:
    pattern = _KEY.sub(lambda key: "/".join(["?*"] * int(key["folders"])) if key["folders"] else key[0], pattern)
    return _Pattern(tuple(None if part == "**" else _component(part) for part in pattern.split("/") if part))


def _component(part: str) -> re.Pattern[str]:
    hidden = "" if part.startswith(".") else r"(?!\.)"
    return re.compile(rf"{hidden}{_expression(part, set())}\Z", re.DOTALL)


def key_pattern(path: str) -> re.Pattern[str]:
    """A whole path with `{name}` as an expression with groups of that name: how partition keys are told.

    A name that occurs twice must have the same value in both places; names take as much as they can.
    """
    fixed, pattern = split_glob(path.rstrip("/"))
    seen: set[str] = set()
    parts = [r"(?:[^/]+/)*" if part == "**" else _expression(part, seen) + "/" for part in pattern.split("/")]
    text = "".join(parts)
    text = text.removesuffix("/") if not pattern.endswith("**") else text + "[^/]+"
    return re.compile(re.escape(fixed.rstrip("/") + "/") + text + r"\Z", re.DOTALL)


def _expression(part: str, seen: set[str]) -> str:
    """One component of a glob as a regular expression; `seen` are the keys before it."""

    def piece(match: re.Match[str]) -> str:
        text: str = match.group(0)
        if text in ("*", "?"):
            return "[^/]" + text.replace("?", "")
        if text.startswith("[") and len(text) > 1:
            return fnmatch.translate(text)[len("(?s:") : -len(r")\Z")]
        if key := match.group("key"):
            again = key in seen
            seen.add(key)
            more = int(match.group("folders") or 1) - 1
            return f"(?P={key})" if again else f"(?P<{key}>[^/]+(?:/[^/]+){{{more}}})"
        return re.escape(text)

    return _PIECE.sub(piece, part)


def _walk(spec: Input, top: bytes, wanted: _Pattern | _AllFiles) -> Iterator[bytes]:
    """Wanted files below `top`, bytewise. Folder names sort with their "/", as whole paths do."""
    prefix = top.rstrip(b"/") + b"/"
    states = wanted.start()
    pending = [(prefix, states, _listing(spec, prefix, wanted, states))]
    while pending:
        prefix, states, names = pending[-1]
        if not names:
            pending.pop()
            continue
        path = prefix + names.pop()
        if not path.endswith(b"/"):
            yield path
        elif not _is_link_cycle(path, [folder for folder, _, _ in pending]):
            inside = wanted.descend(states, os.fsdecode(path[len(prefix) : -1]))
            pending.append((path, inside, _listing(spec, path, wanted, inside)))


def _listing(spec: Input, folder: bytes, wanted: _Pattern | _AllFiles, states: frozenset[int]) -> list[bytes]:
    """Names of wanted files and of folders ("/" appended) that may hold some, last first: to be popped."""
    names = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name.decode(_ENCODING, "surrogateescape")  # os.fsdecode, without its checks
                if entry.is_file(follow_symlinks=False):
                    if wanted.matches(states, name):
                        names.append(entry.name)
                elif _is_folder(entry):
                    if wanted.descend(states, name):
                        names.append(entry.name + b"/")
                elif entry.is_symlink() and wanted.matches(states, name):
                    names.append(entry.name)
    except OSError as error:
        where = os.fsdecode(folder)
        raise InputError(f"input {spec.name!r}: the folder {where!r} cannot be listed: {error.strerror}") from error
    names.sort(reverse=True)
    return names


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_link_cycle(folder: bytes, above: list[bytes]) -> bool:
    if not os.path.islink(folder[:-1]):
        return False
    here = os.stat(folder)
    return any(os.path.samestat(here, os.stat(other)) for other in above)


def _from_manifest(spec: Input, manifest: str) -> Iterator[bytes]:
    """Paths of a manifest, relative to its folder, blank lines left out; a missing file fails later.

    One path a line ("\\n" or "\\r\\n"; a UTF-8 byte order mark is dropped). A manifest that holds a NUL byte
    near its start, or is named *.nul, is NUL-separated instead (`find -print0`): the way for names with
    newlines in them.
    """
    folder = os.fsencode(os.path.dirname(manifest))
    empty = True
    try:
        for name in _entries(manifest):
            if name:
                empty = False
                yield _in_folder(folder, name)
    except OSError as error:
        raise InputError(
            f"input {spec.name!r}: the manifest {manifest!r} cannot be read: {error.strerror}\n"
            "  Check it: relative paths are relative to the job file."
        ) from error
    if empty:
        raise InputError(f"input {spec.name!r}: the manifest {manifest!r} lists no paths")


def _in_folder(folder: bytes, name: bytes) -> bytes:
    """The path that a manifest in `folder` means by `name`, normalized; a URL as it is."""
    if name.startswith(b"/") and b"//" not in name and b"/." not in name:
        return name  # nearly all, and a manifest may have millions
    path = os.path.join(folder, name)
    return path if b"://" in name else os.fsencode(normalized(os.fsdecode(path)))


def _entries(manifest: str) -> Iterator[bytes]:
    with open(manifest, "rb") as file:
        start = file.read(_BLOCK)
        by_nul = manifest.endswith(".nul") or b"\0" in start
        file.seek(3 if start.startswith(b"\xef\xbb\xbf") and not by_nul else 0)
        if not by_nul:
            for line in file:
                yield line.removesuffix(b"\n").removesuffix(b"\r")
            return
        rest = b""
        while block := file.read(_BLOCK):
            *names, rest = (rest + block).split(b"\0")
            yield from names
        yield rest
