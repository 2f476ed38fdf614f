"""From typed fields to a `Job`: absolute paths, what hangs on several keys, and which files must exist.

    JobFields --resolve--> Job        every check adds to the Problems; only without any is there a Job

Inputs need not match anything here: their dataset says so when it plans.
"""

import glob
import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from mpibatch.config import script
from mpibatch.config.parameters import NAME, NAME_RULE, Scalar
from mpibatch.config.problems import Key, Problems, show
from mpibatch.config.schema import (
    Input,
    InputType,
    Job,
    ParallelRunConfig,
    RowFormat,
    SideInput,
    Size,
    Stage,
)
from mpibatch.config.units import parse_size
from mpibatch.config.validate import ConfigFields, InputFields, JobFields, SideInputFields
from mpibatch.errors import ScriptError

CONFIG: Key = ("parallel_run_config",)
_BELONGS = {
    "has_header": {InputType.CSV},
    "delimiter": {InputType.CSV},
    "quote": {InputType.CSV},
    "encoding": {InputType.CSV},
    "quoted_newlines": {InputType.CSV},
    "column_types": {InputType.CSV, InputType.JSONL},
    "columns": {InputType.CSV, InputType.JSONL, InputType.PARQUET},
    "datasets": {InputType.HDF5},
}
_OUTPUT_SUFFIXES = [".txt", ".csv", ".jsonl", ".parquet"]
_CSV_ONLY = ["sep", "header", "index", "float_format", "date_format"]
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def absolute(folder: str, path: str) -> str:
    """A path of the job file; relative to the job file's folder."""
    return str(PurePath(folder, os.path.expanduser(path)))


def side_paths(section: object, folder: str) -> dict[str, str | None]:
    """What `${{ side_inputs.X }}` stands for, read before validation: None if only a node will know."""
    if not isinstance(section, dict):
        return {}
    entries = {name: {"path": entry} if isinstance(entry, str) else entry for name, entry in section.items()}
    return {name: _side_path(entry, folder) for name, entry in entries.items()}


def resolve(fields: JobFields, file: str, shown: str, parameters: dict[str, Scalar], problems: Problems) -> Job:
    """The job in `file`, or a JobFileError for the path as the user wrote it with all problems there are."""
    folder = os.path.dirname(file)
    _require(fields, (), "name", "a job has a name", problems)
    inputs = tuple(_input(name, entry, folder, problems) for name, entry in fields.get("inputs", {}).items())
    side_inputs = tuple(_side(name, entry, folder, problems) for name, entry in fields.get("side_inputs", {}).items())
    output = absolute(folder, fields.get("output", "runs"))
    if os.path.lexists(output) and not os.path.isdir(output):
        problems.add(("output",), f"is {show(output)}, which is no folder")
    _require(fields, (), "parallel_run_config", "it holds at least entry_script", problems)
    config = _config(fields.get("parallel_run_config", {}), inputs, folder, problems)
    _check_source_of_work(fields, problems)
    problems.check(shown)
    return Job(
        file=file,
        name=fields["name"],
        inputs=inputs,
        side_inputs=side_inputs,
        arguments=tuple(fields.get("arguments", [])),
        output=output,
        allow_reuse=fields.get("allow_reuse", True),
        parameters=dict(parameters),
        config=config,
    )


def _require(fields: Mapping[str, object], parent: Key, name: str, why: str, problems: Problems) -> bool:
    key = (*parent, name)
    if name not in fields and not problems.hit(key):
        problems.add(key, f"is missing; {why}")
    return name in fields


def _check_name(key: Key, name: str, problems: Problems) -> None:
    if not NAME.fullmatch(name):
        problems.add(key, f"is not a valid name: names consist of {NAME_RULE}")


def _check_source_of_work(fields: JobFields, problems: Problems) -> None:
    """Exactly one of inputs and mini_batch_count, and one way to cut."""
    config = fields.get("parallel_run_config", {})
    counted = config.get("mini_batch_count") is not None
    count: Key = (*CONFIG, "mini_batch_count")
    if counted and fields.get("inputs"):
        problems.add(count, "cannot be combined with inputs: it is for jobs without input")
    elif not counted and not fields.get("inputs") and not problems.hit(("inputs",)) and not problems.hit(count):
        problems.add(("inputs",), "is missing; without input, give parallel_run_config.mini_batch_count")
    sized = config.get("mini_batch_size") is not None
    keyed = bool(config.get("partition_keys"))
    if sized and keyed:
        problems.add((*CONFIG, "mini_batch_size"), "cannot be combined with partition_keys; keep one of the two")
    for name, given in [("mini_batch_size", sized), ("partition_keys", keyed)]:
        if counted and given:
            problems.add((*CONFIG, name), "cannot be combined with mini_batch_count, which has no input to cut")


def _input(name: str, fields: InputFields, folder: str, problems: Problems) -> Input:
    key: Key = ("inputs", name)
    _check_name(key, name, problems)
    typed = _require(fields, key, "type", "it is files, csv, jsonl, parquet or hdf5", problems)
    _require(fields, key, "path", "it is a path, a glob, a folder, a list of these, or {manifest: FILE}", problems)
    kind = fields.get("type", InputType.FILES)
    for option, kinds in _BELONGS.items():
        if typed and option in fields and kind not in kinds:
            homes = " or ".join(sorted(kinds))
            problems.add((*key, option), f"does not belong to an input of type {kind}: it is for {homes}")
    options: dict[str, Any] = {option: fields[option] for option in _BELONGS if option in fields}  # type: ignore[literal-required]
    for option in ["columns", "datasets"]:
        options[option] = tuple(options.get(option, ()))
        if len(set(options[option])) < len(options[option]):
            problems.add((*key, option), "names something twice")
    paths, manifest = _paths(fields, folder)
    if kind is InputType.CSV:
        _check_csv(key, options, paths, problems)
    return Input(name=name, type=kind, paths=paths, manifest=manifest, **options)


def _paths(fields: InputFields, folder: str) -> tuple[tuple[str, ...], str | None]:
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
    tabbed = {path.lower().endswith(".tsv") for path in paths}
    if "delimiter" not in options and tabbed == {True}:
        options["delimiter"] = "\t"
    elif "delimiter" not in options and len(tabbed) == 2:
        problems.add((*key, "delimiter"), "is missing; .tsv and other files are mixed, so it cannot be guessed")
    if options.get("delimiter", ",") == options.get("quote", '"'):
        problems.add((*key, "delimiter"), "is the same as quote")
    try:
        "".encode(options.get("encoding", "utf-8"))
    except (LookupError, ValueError):
        problems.wrong((*key, "encoding"), options["encoding"], "a text encoding that Python knows, such as utf-8")


def _side_path(entry: object, folder: str) -> str | None:
    match entry:
        case {"stage": "node"}:
            return None
        case {"path": str(path)}:
            return absolute(folder, path)
        case _:
            return ""  # a problem that the shape's check reports


def _side(name: str, fields: SideInputFields, folder: str, problems: Problems) -> SideInput:
    key: Key = ("side_inputs", name)
    _check_name(key, name, problems)
    path = absolute(folder, fields.get("path", ""))
    if _require(fields, key, "path", "it is the file or folder that the script uses", problems):
        if _URL.match(fields["path"]):
            problems.wrong(key, fields["path"], "a local file or folder, not a URL")
        elif not os.path.exists(path):
            problems.add(key, f"is {show(fields['path'])}, but there is no {show(path)}")
    return SideInput(name, path, fields.get("stage", Stage.NONE))


def _config(fields: ConfigFields, inputs: tuple[Input, ...], folder: str, problems: Problems) -> ParallelRunConfig:
    values: dict[str, Any] = dict(fields)
    values["source_directory"] = absolute(folder, fields.get("source_directory", "."))
    values["entry_script"] = fields.get("entry_script", "")
    if not problems.hit(CONFIG):
        _require(fields, CONFIG, "entry_script", "it is the script that defines run(mini_batch)", problems)
    if values["entry_script"] and not problems.hit((*CONFIG, "source_directory")):
        _check_script(values["source_directory"], values["entry_script"], problems)
    values["mini_batch_size"] = _size(fields, inputs, problems)
    values["partition_keys"] = tuple(fields.get("partition_keys", []))
    if len(set(values["partition_keys"])) < len(values["partition_keys"]):
        problems.add((*CONFIG, "partition_keys"), "names something twice")
    values["append_row_format"] = _row_format(fields, problems)
    for option in ["process_count_per_node", "coordinator_works"]:
        if values.get(option) == "auto":
            values[option] = None
    for variable in values.get("environment_variables", {}):
        if not variable or "=" in variable:
            problems.add((*CONFIG, "environment_variables", variable), "is no name of an environment variable")
    return ParallelRunConfig(**values)


def _check_script(source_directory: str, entry_script: str, problems: Problems) -> None:
    try:
        script.inspect(script.locate(source_directory, entry_script))
    except ScriptError as error:
        where = "entry_script" if os.path.isdir(source_directory) else "source_directory"
        problems.add((*CONFIG, where), f"cannot be used: {error}")


def _size(fields: ConfigFields, inputs: tuple[Input, ...], problems: Problems) -> Size | None:
    """The size in the unit of the inputs' type, if they are all of one."""
    key: Key = (*CONFIG, "mini_batch_size")
    kinds = sorted({input.type for input in inputs})
    if len(kinds) > 1:
        named = ", ".join(f"{input.name} is {input.type}" for input in inputs[:10])
        problems.add(("inputs",), f"are of different types ({named}); all inputs of a job are of one type")
    elsewise = bool(fields.get("partition_keys")) or fields.get("mini_batch_count") is not None
    if len(kinds) != 1 or elsewise or any(problems.hit(("inputs", input.name, "type")) for input in inputs):
        return None
    value = fields.get("mini_batch_size")
    try:
        return parse_size(value, kinds[0])
    except ValueError as error:
        problems.wrong(key, value, f"{error} (its inputs are of type {kinds[0]})")
        return None


def _row_format(fields: ConfigFields, problems: Problems) -> RowFormat:
    name = fields.get("append_row_file_name", "parallel_run_step.txt")
    key: Key = (*CONFIG, "append_row_file_name")
    plain = "/" not in name and name.isprintable() and len(os.fsencode(name)) <= 200
    suffix = PurePath(name).suffix
    if not plain or suffix not in _OUTPUT_SUFFIXES:
        problems.wrong(key, name, f"a plain file name that ends in {', '.join(_OUTPUT_SUFFIXES[:-1])} or .parquet")
    options = fields.get("append_row_format", {})
    for option in _CSV_ONLY:
        if option in options and suffix != ".csv" and not problems.hit(key):
            spot = (*CONFIG, "append_row_format", option)
            problems.add(spot, f"is for .csv only, but append_row_file_name is {show(name)}")
    return RowFormat(**options)
