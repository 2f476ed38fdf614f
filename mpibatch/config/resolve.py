"""From typed fields to a `Job`: absolute paths, what hangs on several keys, and which files must exist.

    fields --resolve--> Job        every check adds to the Problems; only without any is there a Job

Inputs need not match anything here: their dataset says so when it plans.
"""

import glob
import os
import re
from pathlib import PurePath
from typing import Any

from mpibatch.config import script
from mpibatch.config.choices import InputType
from mpibatch.config.problems import Key, Problems, format_value
from mpibatch.config.schema import Input, Job, RowFormat, RunConfig, SideInput
from mpibatch.config.settings import Setting, default, one_of, settings_of
from mpibatch.config.units import parse_memory, parse_size, uncompressed
from mpibatch.config.validate import Fields
from mpibatch.config.values import NAME, Scalar, Size
from mpibatch.errors import ScriptError

CONFIG: Key = ("parallel_run_config",)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def absolute(folder: str, path: str) -> str:
    """A path of the job; `folder` is what relative ones refer to."""
    return str(PurePath(folder, os.path.expanduser(path)))


def side_paths(section: object, folder: str) -> dict[str, str | None]:
    """What `${{ side_inputs.X }}` stands for, read before validation: None if only a node will know."""
    if not isinstance(section, dict):
        return {}
    entries = {name: {"path": entry} if isinstance(entry, str) else entry for name, entry in section.items()}
    return {name: _side_path(entry, folder) for name, entry in entries.items()}


def resolve(
    fields: Fields,
    folder: str,
    name: str,
    parameters: dict[str, Scalar],
    problems: Problems,
    not_yet: str | None = None,
) -> Job:
    """The job of these fields; relative paths are relative to `folder`. not_yet: a folder that is still to be filled.

    Raises JobFileError with all problems that there are; `name` says where, as the user knows it.
    """
    _require(fields, (), "name", "a job has a name", problems)
    inputs = tuple(resolve_input(name, entry, folder, problems) for name, entry in fields.get("inputs", {}).items())
    side_inputs = tuple(
        resolve_side_input(name, entry, folder, problems, not_yet)
        for name, entry in fields.get("side_inputs", {}).items()
    )
    output = absolute(folder, fields.get("output", default(Job, "output")))
    if os.path.lexists(output) and not os.path.isdir(output):
        problems.add(("output",), f"is {format_value(output)}, which is no folder")
    _require(fields, (), "parallel_run_config", "it holds at least entry_script", problems)
    config = _config(fields.get("parallel_run_config", {}), inputs, folder, problems)
    _check_source_of_work(fields, problems)
    problems.check(name)
    given = {name: fields[name] for name in ("name", "arguments", "allow_reuse") if name in fields}
    return Job(
        inputs=inputs, side_inputs=side_inputs, output=output, parameters=dict(parameters), config=config, **given
    )


def _require(fields: Fields, parent: Key, name: str, why: str, problems: Problems) -> bool:
    key = (*parent, name)
    if name not in fields and not problems.covers(key):
        problems.add(key, f"is missing; {why}")
    return name in fields


def _check_name(key: Key, name: str, problems: Problems) -> None:
    if not NAME.matches(name):
        problems.add(key, f"is not a valid name: names are {NAME.words}")


def _check_source_of_work(fields: Fields, problems: Problems) -> None:
    """Exactly one of inputs and mini_batch_count, and one way to cut."""
    config = fields.get("parallel_run_config", {})
    counted = config.get("mini_batch_count") is not None
    count: Key = (*CONFIG, "mini_batch_count")
    if counted and fields.get("inputs"):
        problems.add(count, "cannot be combined with inputs: it is for jobs without input")
    elif not counted and not fields.get("inputs") and not problems.covers(("inputs",)) and not problems.covers(count):
        problems.add(("inputs",), "is missing; without input, give parallel_run_config.mini_batch_count")
    sized = config.get("mini_batch_size") is not None
    keyed = bool(config.get("partition_keys"))
    if sized and keyed:
        problems.add((*CONFIG, "mini_batch_size"), "cannot be combined with partition_keys; keep one of the two")
    for name, given in [("mini_batch_size", sized), ("partition_keys", keyed)]:
        if counted and given:
            problems.add((*CONFIG, name), "cannot be combined with mini_batch_count, which has no input to cut")


def resolve_input(name: str, fields: Fields, folder: str, problems: Problems) -> Input:
    """One input of these fields; what is wrong with it is added to `problems`."""
    key: Key = ("inputs", name)
    _check_name(key, name, problems)
    typed = False
    if not problems.covers((*key, "dataset")):
        typed = _require(fields, key, "type", f"it is {one_of(InputType)}; or give dataset: NAME", problems)
        _require(fields, key, "path", "it is a path, a glob, a folder, a list of these, or {manifest: FILE}", problems)
    kind = fields.get("type", InputType.FILES)
    for setting in _misplaced(Input, fields, kind) if typed else ():
        wrong = f"does not belong to an input of type {kind}: it is for {one_of(setting.types)}"
        problems.add((*key, setting.key), wrong)
    options = {option: value for option, value in fields.items() if option not in ("type", "path")}
    for option in ("columns", "datasets"):
        _check_unique((*key, option), options.get(option, ()), problems)
    paths, manifest = _paths(fields, folder)
    if kind is InputType.CSV:
        _check_csv(key, options, paths, problems)
    return Input(name=name, type=kind, paths=paths, manifest=manifest, **options)


def _misplaced(section: type, fields: Fields, kind: str) -> list[Setting]:
    """The settings of a section that are given, and are for other types of inputs or output files than `kind`."""
    return [
        setting
        for setting in settings_of(section)
        if setting.types and setting.key in fields and kind not in setting.types
    ]


def _check_unique(key: Key, names: tuple[str, ...], problems: Problems) -> None:
    if len(set(names)) < len(names):
        problems.add(key, "names something twice")


def _paths(fields: Fields, folder: str) -> tuple[tuple[str, ...], str | None]:
    match fields.get("path", []):
        case {"manifest": str(manifest)}:
            return (), absolute(folder, manifest)
        case str(path):
            return (_pattern(folder, path),), None
        case paths:
            return tuple(_pattern(folder, path) for path in paths), None


def _pattern(folder: str, path: str) -> str:
    """A path, glob or URL as it is passed on; a folder with glob characters in its own name stays plain."""
    if _URL.match(path):
        return path
    plain = absolute(folder, path)
    if os.path.lexists(plain) or not glob.has_magic(path):
        return plain
    return absolute(glob.escape(folder), path)


def _check_csv(key: Key, options: dict[str, Any], paths: tuple[str, ...], problems: Problems) -> None:
    tabbed = {path.lower().endswith((".tsv", ".tsv.gz", ".tsv.zst", ".tsv.bz2", ".tsv.lz4")) for path in paths}
    if "delimiter" not in options and tabbed == {True}:
        options["delimiter"] = "\t"
    elif "delimiter" not in options and len(tabbed) == 2:
        problems.add((*key, "delimiter"), "is missing; .tsv and other files are mixed, so it cannot be guessed")
    used: dict[str, str] = {}
    for option in ("delimiter", "quote", "escape", "comment"):
        character = options.get(option, default(Input, option))
        if character and (other := used.setdefault(character, option)) != option:
            problems.add((*key, other), f"is the same as {option}")
    try:
        "".encode(options.get("encoding", default(Input, "encoding")))
    except (LookupError, ValueError):
        problems.add_invalid(
            (*key, "encoding"), options["encoding"], "a text encoding that Python knows, such as utf-8"
        )


def _side_path(entry: object, folder: str) -> str | None:
    match entry:
        case {"stage": "node"}:
            return None
        case {"path": str(path)}:
            return absolute(folder, path)
        case _:
            return ""  # a problem that the shape's check reports


def resolve_side_input(
    name: str, fields: Fields, folder: str, problems: Problems, not_yet: str | None = None
) -> SideInput:
    """One side input; it must exist, unless it is in the folder `not_yet`, which is still to be filled."""
    key: Key = ("side_inputs", name)
    _check_name(key, name, problems)
    path = absolute(folder, fields.get("path", ""))
    if problems.covers((*key, "model")):
        pass
    elif _require(fields, key, "path", "it is the file or folder that the script uses; or give model: NAME", problems):
        if _URL.match(fields["path"]):
            problems.add_invalid(key, fields["path"], "a local file or folder, not a URL")
        elif not os.path.exists(path) and not (not_yet is not None and PurePath(path).is_relative_to(not_yet)):
            problems.add(key, f"is {format_value(fields['path'])}, but there is no {format_value(path)}")
    return SideInput(name, **{**fields, "path": path})


def _config(fields: Fields, inputs: tuple[Input, ...], folder: str, problems: Problems) -> RunConfig:
    source_directory = absolute(folder, fields.get("source_directory", default(RunConfig, "source_directory")))
    entry_script = fields.get("entry_script", "")
    if not problems.covers(CONFIG):
        _require(fields, CONFIG, "entry_script", "it is the script that defines run(mini_batch)", problems)
    if entry_script and not problems.covers((*CONFIG, "source_directory")):
        _check_script(source_directory, entry_script, problems)
    _check_unique((*CONFIG, "partition_keys"), fields.get("partition_keys", ()), problems)
    for variable in fields.get("environment_variables", {}):
        if not variable or "=" in variable:
            problems.add((*CONFIG, "environment_variables", variable), "is no name of an environment variable")
    replace_above, most = parse_memory(fields.get("replace_above")), parse_memory(fields.get("memory_per_process"))
    if replace_above is not None and most is not None and replace_above >= most:
        problems.add((*CONFIG, "replace_above"), "is no less than memory_per_process, at which the executor is ended")
    derived = {
        "source_directory": source_directory,
        "entry_script": entry_script,
        "mini_batch_size": _size(fields, inputs, problems),
        "append_row_format": _row_format(fields, problems),
    }
    return RunConfig(**{**fields, **derived})


def _check_script(source_directory: str, entry_script: str, problems: Problems) -> None:
    try:
        script.inspect(script.locate(source_directory, entry_script))
    except ScriptError as error:
        where = "entry_script" if os.path.isdir(source_directory) else "source_directory"
        problems.add((*CONFIG, where), f"cannot be used: {error}")


def _size(fields: Fields, inputs: tuple[Input, ...], problems: Problems) -> Size | None:
    """The size in the unit of the inputs' type, if they are all of one."""
    key: Key = (*CONFIG, "mini_batch_size")
    kinds = sorted({input.type for input in inputs})
    if len(kinds) > 1:
        named = ", ".join(f"{input.name} is {input.type}" for input in inputs[:10])
        problems.add(("inputs",), f"are of different types ({named}); all inputs of a job are of one type")
    elsewise = bool(fields.get("partition_keys")) or fields.get("mini_batch_count") is not None
    if len(kinds) != 1 or elsewise or any(problems.covers(("inputs", input.name, "type")) for input in inputs):
        return None
    value = fields.get("mini_batch_size")
    if problems.covers(key):
        return None
    try:
        return parse_size(value, kinds[0])
    except ValueError as error:
        problems.add_invalid(key, value, f"{error} (its inputs are of type {kinds[0]})")
        return None


def _row_format(fields: Fields, problems: Problems) -> RowFormat:
    name = fields.get("append_row_file_name", default(RunConfig, "append_row_file_name"))
    key: Key = (*CONFIG, "append_row_file_name")
    if not name.isprintable() or len(os.fsencode(name)) > 200:
        problems.add_invalid(key, name, "a file name of printable characters, at most 200 bytes long")
    options = fields.get("append_row_format", {})
    for setting in _misplaced(RowFormat, options, uncompressed(name).rpartition(".")[2]):
        if not problems.covers(key):
            spot = (*CONFIG, "append_row_format", setting.key)
            problems.add(spot, f"is for .csv only, compressed or not, but append_row_file_name is {format_value(name)}")
    return RowFormat(**options)
