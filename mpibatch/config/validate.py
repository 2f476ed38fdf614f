"""The shape of a job file: which keys there are and what each may hold. The only file that knows pydantic.

    plain data --check_shape--> JobFields: exactly the keys that the user gave and that are sound, typed
                     |
                     `--> Problems: unknown keys and wrong values, what they are and what they must be

Whatever is wrong is cut out, so that `resolve.py` goes on with the rest. Defaults live in `schema.py` alone.
Types are strict: "3" and true are no numbers. What hangs on several keys or on files is not judged here.
"""

import copy
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    with_config,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from mpibatch.config.parameters import as_text
from mpibatch.config.problems import Key, Problems, nearest, show, spell
from mpibatch.config.schema import JOB_NAME, Device, InputType, OutputAction, QuotedNewlines, Stage
from mpibatch.config.units import LARGEST

YEAR = 365 * 24 * 3600
CLOSED = ConfigDict(extra="forbid", strict=True)
_NOT_ALLOWED = "not_allowed"


def allowed(what: str) -> WrapValidator:
    """Words whatever goes wrong within a value as one problem: what it must be."""

    def check(value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError(_NOT_ALLOWED, "{what}", {"what": what}) from None

    return WrapValidator(check)


def member_of(kind: type[StrEnum]) -> tuple[BeforeValidator, WrapValidator]:
    """The text of an enum's member, and true or false where a member is called so."""

    def convert(value: Any) -> Any:
        text = as_text(value) if isinstance(value, bool) else value
        return next((member for member in kind if isinstance(text, str) and member.value == text), value)

    return BeforeValidator(convert), allowed(_one_of([member.value for member in kind]))


def _one_of(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _numbers_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _scalars_as_text(value: Any) -> Any:
    return as_text(value) if isinstance(value, int | float) else value


def _mapping_if_empty(value: Any) -> Any:
    return {} if value is None else value


def _list_if_empty(value: Any) -> Any:
    return [] if value is None else value


def _path_alone(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


# Sections that hold nothing but comments are None in YAML; they count as empty.
OptionalMapping = BeforeValidator(_mapping_if_empty)
OptionalList = BeforeValidator(_list_if_empty)

_FILLED = r"\S"
Text = Annotated[str, Field(pattern=_FILLED), allowed("text that is not empty")]
Path = Annotated[str, Field(pattern=_FILLED), allowed("a path")]
Flag = Annotated[bool, allowed("true or false")]
Character = Annotated[str, Field(pattern=r"^[\t -~]$"), allowed("a single ASCII character")]
Seconds = Annotated[float, Field(gt=0, le=YEAR), allowed("a positive number of seconds, a year at most")]
Grace = Annotated[float, Field(ge=0, le=YEAR), allowed("a number of seconds, 0 or more, a year at most")]
Percent = Annotated[float, Field(ge=0, le=100), allowed("a number from 0 to 100")]
Threshold = Annotated[int, Field(ge=-1, le=LARGEST), allowed("a whole number, or -1 to tolerate all")]
Tries = Annotated[int, Field(ge=1, le=255), allowed("a whole number from 1 to 255")]
Total = Annotated[int | None, Field(ge=1, le=LARGEST), allowed("a whole number, 1 or more")]
OrNever = Annotated[int, Field(ge=0, le=LARGEST), allowed("a whole number, 1 or more, or 0 for never")]
Machines = Annotated[int, Field(ge=1, le=1_000_000), allowed("a whole number from 1 to 1000000")]
PerNode = Annotated[
    Annotated[int, Field(ge=1, le=100_000)] | Literal["auto"],
    allowed('a whole number from 1 to 100000, or "auto"'),
]
FlagOrAuto = Annotated[bool | Literal["auto"], allowed('true, false or "auto"')]
Level = Annotated[Literal["WARNING", "INFO", "DEBUG"], allowed("WARNING, INFO or DEBUG")]
JobName = Annotated[
    str,
    Field(min_length=3, max_length=32, pattern=JOB_NAME),
    allowed("3 to 32 lower-case letters, digits and -, beginning with a letter and not ending with -"),
]
FloatFormat = Annotated[
    str | None,
    Field(pattern=r"^[^%]*%[-+ #0]*[0-9]{0,3}(\.[0-9]{1,3})?[eEfFgG][^%]*$"),
    allowed('a format of one number, such as "%.3f"'),
]
Argument = Annotated[str, BeforeValidator(_scalars_as_text), allowed("text, a number, or true or false")]
Setting = Annotated[str, BeforeValidator(_numbers_as_text), allowed("text or a number; put true and false in quotes")]
Types = dict[str, Text]


@with_config(CLOSED)
class Manifest(TypedDict):
    manifest: Path


Paths = Annotated[
    Path | Annotated[list[Path], Field(min_length=1)] | Manifest,
    allowed("a path, a glob, a folder, a list of these, or {manifest: FILE}, without empty ones"),
]


@with_config(CLOSED)
class InputFields(TypedDict, total=False):
    type: Annotated[InputType, *member_of(InputType)]
    path: Paths
    has_header: Flag
    delimiter: Character
    quote: Character
    encoding: Text
    column_types: Annotated[Types, OptionalMapping]
    columns: Annotated[list[Text], OptionalList]
    quoted_newlines: Annotated[QuotedNewlines, *member_of(QuotedNewlines)]
    datasets: Annotated[list[Text], OptionalList]


@with_config(CLOSED)
class SideInputFields(TypedDict, total=False):
    path: Path
    stage: Annotated[Stage, *member_of(Stage)]


SideInputOrPath = Annotated[SideInputFields, BeforeValidator(_path_alone)]


@with_config(CLOSED)
class RowFormatFields(TypedDict, total=False):
    sep: Character
    header: Flag
    index: Flag
    float_format: FloatFormat
    date_format: Text | None
    schema: Types | None


@with_config(CLOSED)
class ConfigFields(TypedDict, total=False):
    source_directory: Path
    entry_script: Path
    mini_batch_size: Any  # its meaning hangs on the inputs' type
    mini_batch_count: Total
    partition_keys: Annotated[list[Text], OptionalList]
    error_threshold: Threshold
    allowed_failed_count: Threshold
    allowed_failed_percent: Percent
    output_action: Annotated[OutputAction, *member_of(OutputAction)]
    append_row_file_name: Text
    append_row_format: Annotated[RowFormatFields, OptionalMapping]
    node_count: Machines
    process_count_per_node: PerNode
    processes_per_gpu: Machines
    coordinator_works: FlagOrAuto
    device: Annotated[Device, *member_of(Device)]
    run_invocation_timeout: Seconds
    load_timeout: Seconds
    init_timeout: Seconds
    run_max_try: Tries
    isolate_failures: Flag
    max_mini_batches_per_executor: OrNever
    grace: Grace
    rank_timeout: Seconds
    logging_level: Level
    environment_variables: Annotated[dict[str, Setting], OptionalMapping]


@with_config(CLOSED)
class JobFields(TypedDict, total=False):
    name: JobName
    parameters: Any  # read before, by parameters.py
    inputs: Annotated[dict[str, InputFields], OptionalMapping]
    side_inputs: Annotated[dict[str, SideInputOrPath], OptionalMapping]
    arguments: Annotated[list[Argument], OptionalList]
    output: Path
    allow_reuse: Flag
    parallel_run_config: ConfigFields


_ADAPTER = TypeAdapter(JobFields)


def check_shape(data: dict[str, object], problems: Problems) -> JobFields:
    """What is sound in `data`; everything else becomes a problem."""
    data = copy.deepcopy(data)
    for key in problems.keys:
        _cut(data, key)
    sections: set[Key] = set()
    while True:
        try:
            return _ADAPTER.validate_python(data)
        except ValidationError as error:
            found = [(*_find(data, detail["loc"]), detail) for detail in error.errors(include_url=False)]
            for key, value, detail in found:
                _report(key, value, detail, sections, problems)
                _cut(data, key)


def _report(key: Key, value: object, detail: ErrorDetails, sections: set[Key], problems: Problems) -> None:
    """`sections`: those whose valid keys were listed before, which is not repeated."""
    match detail["type"]:
        case "extra_forbidden":
            listed = key[:-1] in sections
            sections.add(key[:-1])
            problems.add(key, f"is unknown; {_advice(key, listed)}")
        case _ if detail["type"] == _NOT_ALLOWED:
            problems.wrong(key, value, detail["msg"])
        case "list_type":
            problems.wrong(key, value, "a list")
        case "dict_type":
            problems.wrong(key, value, "a mapping")
        case "string_type":
            problems.wrong(key, value, "text")
        case _:
            problems.add(key, f"is {show(value)}: {detail['msg']}")


def _advice(key: Key, listed: bool) -> str:
    """For an unknown key: the key of that name elsewhere, or the nearest one here; and all valid ones."""
    name = str(key[-1])
    valid = _section(key[:-1])
    homes = [spell((*parent, name)) for parent, fields in _SECTIONS if name in fields.__annotations__]
    guess = homes[0] if homes else nearest(name, valid)
    hints = [f"did you mean {guess}?"] if guess else []
    hints += [f"Valid here: {', '.join(valid)}" if not listed else "Valid are those listed above"]
    return " ".join(hints)


_SECTIONS: list[tuple[Key, Any]] = [
    ((), JobFields),
    (("parallel_run_config",), ConfigFields),
    (("parallel_run_config", "append_row_format"), RowFormatFields),
    (("inputs", "NAME"), InputFields),
    (("side_inputs", "NAME"), SideInputFields),
]


def _section(key: Key) -> list[str]:
    """The valid keys of the mapping at `key`."""
    general = (key[0], "NAME") if len(key) == 2 and key[0] in {"inputs", "side_inputs"} else key
    return next((list(fields.__annotations__) for parent, fields in _SECTIONS if parent == general), [])


def _find(data: Any, location: tuple[str | int, ...]) -> tuple[Key, Any]:
    """The deepest key along pydantic's location that the user wrote, and its value."""
    key: Key = ()
    for part in location:
        if not (isinstance(data, dict) and part in data) and not isinstance(data, list):
            break
        data = data[part]  # type: ignore[index]  # a list's part is an index
        key = (*key, part)
    return key, data


def _cut(data: Any, key: Key) -> None:
    """Removes what is at `key`; of a list the whole, since its other elements mean little without one."""
    parents = next((key[:index] for index, part in enumerate(key) if isinstance(part, int)), key)
    *path, last = parents
    for part in path:
        if not isinstance(data, dict) or part not in data:
            return
        data = data[part]
    if isinstance(data, dict):
        data.pop(last, None)
