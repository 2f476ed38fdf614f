"""The job file as frozen dataclasses: each setting declared once, after validation and with every path absolute.

A field's annotation holds all that is known of the setting (`markers.py`); its check, the messages about it, the JSON
Schema and the reference are derived. Plain standard-library dataclasses, so that ranks and executors can hold them
without importing the validator. `serialize.py` carries a job through run.json and MPI.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from mpibatch.config.choices import (
    TABLES,
    ByteStrings,
    Device,
    EncodingErrors,
    ExecutorRestart,
    InputType,
    LineEnds,
    OutputAction,
    QuotedNewlines,
    Stage,
)
from mpibatch.config.markers import (
    Auto,
    Doc,
    For,
    Internal,
    Interval,
    Key,
    Means,
    MinLen,
    OnResume,
    Quantity,
    ShortFor,
    Written,
)
from mpibatch.config.values import (
    JOB_NAME,
    LARGEST,
    YEAR,
    Argument,
    Character,
    FloatFormat,
    Memory,
    NullValue,
    OptionalCharacter,
    OutputFile,
    PathText,
    Scalar,
    Seconds,
    Size,
    Text,
    Tolerated,
    Total,
    Variable,
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One form of an input's `path`."""

    manifest: Annotated[PathText, Doc("A text file with a path or URL on each line.")]


@dataclass(frozen=True, slots=True)
class Input:
    """One input: absolute paths, globs, folders or fsspec URLs in `paths`, or a `manifest` that lists such.

    Next to a glob, the glob characters of the job file's own folder are escaped. A path that exists under its
    very name is no glob: look for that first.
    """

    name: Annotated[str, Internal()]
    type: Annotated[
        InputType,
        Key("type", required=False),
        Doc(
            "What its files hold; all inputs of a job are of one type. `mltable`: the path is a folder with an MLTable "
            "file, which says what they hold and how they are read."
        ),
    ]
    paths: Annotated[
        tuple[str, ...],
        Key("path", required=False),
        Written(
            PathText | Annotated[list[PathText], MinLen(1)] | Manifest,
            "a path, a glob, a folder, a list of these, or {manifest: FILE}, without empty ones",
        ),
        Doc(
            "What is read: files, globs (`**` crosses folders), folders (all files below) or URLs such as `s3://`. "
            "`{key}` in a path takes any name, `{key:3}` three with `/` between: for `partition_keys`, and as a column "
            "of a table."
        ),
    ] = ()
    manifest: Annotated[str | None, Internal()] = None
    dataset: Annotated[
        Text | None, Doc("In place of type and path: `NAME` or `NAME:VERSION` of a dataset in the workspace.")
    ] = None
    has_header: Annotated[bool, For("csv"), Doc("The first line names the columns.")] = True
    skip_rows: Annotated[
        int,
        Interval(ge=0, le=1_000_000),
        For("csv"),
        Doc("Lines at the beginning of each file that are passed over, before the header."),
    ] = 0
    delimiter: Annotated[
        Character, For("csv"), Doc("What stands between two fields; a tab for `.tsv` files unless given.")
    ] = ","
    quote: Annotated[OptionalCharacter, For("csv"), Doc('What fields are quoted with; `""`: quotes are text.')] = '"'
    escape: Annotated[
        OptionalCharacter, For("csv"), Doc("The character before one that is to be text, such as a backslash.")
    ] = ""
    comment: Annotated[
        OptionalCharacter, For("csv"), Doc("Lines that begin with it are no rows, before the header too.")
    ] = ""
    line_ends: Annotated[
        LineEnds,
        For("csv"),
        Doc(
            "Where rows end. `auto`: at any of `\\n`, `\\r\\n` and `\\r` outside quotes. `lf`: at `\\n` and `\\r\\n`, "
            "so that a `\\r` alone is text. `cr`: at `\\r`, so that `\\n` is text."
        ),
    ] = LineEnds.AUTO
    null_values: Annotated[
        tuple[NullValue, ...],
        For("csv"),
        Doc("Texts that are a missing value in columns of any type, besides the usual ones, which are text in text."),
    ] = ()
    encoding: Annotated[Text, For("csv", "lines"), Doc("A text encoding that Python knows.")] = "utf-8"
    encoding_errors: Annotated[
        EncodingErrors,
        For("csv", "lines"),
        Doc("What becomes of bytes that are no text in this encoding. `strict`: the mini-batch fails."),
    ] = EncodingErrors.STRICT
    column_types: Annotated[
        dict[str, Text],
        For(*TABLES),
        Doc(
            "Column name to type, such as `string`, `int64`, `Int64`, `decimal(12, 2)` or `timestamp[us, UTC]`; the "
            "types of other columns are found out."
        ),
    ] = field(default_factory=dict)
    columns: Annotated[tuple[Text, ...], For(*TABLES), Doc("The columns that are read; empty: all.")] = ()
    drop_columns: Annotated[tuple[Text, ...], For(*TABLES), Doc("The columns that are left out.")] = ()
    path_column: Annotated[
        Text | None, For(*TABLES), Doc("A column of this name holds the path of each row's file.")
    ] = None
    quoted_newlines: Annotated[
        QuotedNewlines, For("csv"), Doc("Whether quoted fields hold line breaks; `auto` looks.")
    ] = QuotedNewlines.AUTO
    datasets: Annotated[tuple[Text, ...], For("hdf5"), Doc("The datasets that are read, row by row; empty: all.")] = ()
    byte_strings: Annotated[
        ByteStrings,
        For("hdf5"),
        Doc("Strings as `text`, which must be UTF-8; as text in `latin-1`, which all bytes are; or as `bytes`."),
    ] = ByteStrings.TEXT


@dataclass(frozen=True, slots=True)
class SideInput:
    """A path that the script uses whole. model: NAME:VERSION, where `path` is that of a model in the workspace."""

    name: Annotated[str, Internal()]
    path: Annotated[PathText, Key("path", required=False), Doc("A local file or folder.")]
    stage: Annotated[Stage, Doc("`node`: copied to node-local disk once per node.")] = Stage.NONE
    model: Annotated[Text | None, Doc("In place of a path: `NAME` or `NAME:VERSION` of a model in the workspace.")] = (
        None
    )


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How rows are written: all but the schema are for csv only, compressed or not."""

    sep: Annotated[Character, For("csv"), Doc("What stands between two fields.")] = ","
    header: Annotated[bool, For("csv"), Doc("The first line names the columns.")] = True
    index: Annotated[bool, For("csv"), Doc("The DataFrame's index is written too.")] = False
    float_format: Annotated[FloatFormat | None, For("csv"), Doc("How floats are written.")] = None
    date_format: Annotated[Text | None, For("csv"), Doc("How dates are written, as `strftime` takes it.")] = None
    schema: Annotated[dict[str, Text] | None, Doc("Column name to type; otherwise the first rows decide.")] = None


@dataclass(frozen=True, slots=True)
class RunConfig:
    """`parallel_run_config`; names and meanings are ParallelRunStep's."""

    entry_script: Annotated[
        PathText, Doc("The script that defines `run(mini_batch)`: a file, or a dotted module, of `source_directory`.")
    ]
    source_directory: Annotated[PathText, Doc("The folder of the script; importable.")] = "."
    mini_batch_size: Annotated[
        Size | None,
        Written(int | str, 'a number of files, a size such as 1024 or "1MB", or a number of rows such as "500 rows"'),
        Doc(
            "What one call of `run()` gets. files, tar: a count, default 10. lines, csv, jsonl: bytes or rows, default "
            "1MB. parquet, arrow, orc: bytes or rows, default a row group, record batch or stripe. hdf5: rows, default "
            "those of a chunk. It never crosses a file, of tables, or an archive."
        ),
    ] = None
    mini_batch_count: Annotated[
        Total | None, Doc("In place of inputs: so many mini-batches without input, for scripts that make their own.")
    ] = None
    partition_keys: Annotated[
        tuple[Text, ...], Doc("In place of a size: one mini-batch for each combination of these keys.")
    ] = ()
    error_threshold: Annotated[
        Tolerated, OnResume(), Doc("Failed items (files or rows) that are tolerated; more abort the run.")
    ] = 0
    allowed_failed_count: Annotated[
        Tolerated, OnResume(), Doc("Mini-batches of which no item succeeded that are tolerated; more abort the run.")
    ] = -1
    allowed_failed_percent: Annotated[
        float, Interval(ge=0, le=100), OnResume(), Doc("The same, of all mini-batches, judged at the end.")
    ] = 100.0
    output_action: Annotated[
        OutputAction, Doc("`append_row`: all rows in one file, in input order. `summary_only`: no such file.")
    ] = OutputAction.APPEND_ROW
    append_row_file_name: Annotated[OutputFile, Doc("The output file; its suffix chooses the format.")] = (
        "parallel_run_step.txt"
    )
    append_row_format: Annotated[RowFormat, Doc("How rows are written.")] = field(default_factory=RowFormat)
    node_count: Annotated[int, Interval(ge=1, le=1_000_000), OnResume(), Doc("Nodes, where the launcher asks.")] = 1
    process_count_per_node: Annotated[
        Annotated[int, Interval(ge=1, le=100_000)] | None,
        Auto(),
        OnResume(),
        Doc(
            "Ranks, each with an executor, on a node. `auto`: one for each GPU, or for `gpus_per_process` of them; "
            "without GPUs one for each core, or for `cpus_per_process` of them."
        ),
    ] = None
    processes_per_gpu: Annotated[int, Interval(ge=1, le=1_000_000), OnResume(), Doc("Executors that share a GPU.")] = 1
    gpus_per_process: Annotated[
        Annotated[int, Interval(ge=1, le=1024)] | None,
        Auto(),
        OnResume(),
        Doc(
            "GPUs that one executor owns, for a model that one does not hold: neighbours, all of them in "
            "`CUDA_VISIBLE_DEVICES`. `auto`: those that `srun --gpus-per-task` bound to the rank, all where it "
            "started one rank on the node, else one."
        ),
    ] = None
    cpus_per_process: Annotated[
        Annotated[int, Interval(ge=1, le=100_000)] | None,
        Auto(),
        OnResume(),
        Doc(
            "CPUs that one executor owns, hyperthreads counted as Slurm counts them. `auto`: all are shared out; those "
            "nearest to an executor's GPUs are its own, else slices along NUMA nodes."
        ),
    ] = None
    memory_per_process: Annotated[
        Memory | None,
        OnResume(),
        Doc(
            "The most that an executor may use together with all that it starts, looked at ten times a second. One "
            "that uses more is ended, before the kernel ends the wrong process; its mini-batch has failed a try, by "
            "`out_of_memory`. Shared pages count once, memory of GPUs does not. Where the site delegates cgroups "
            "(`mpibatch doctor` says so) each executor has one, and the kernel ends what grows faster than is looked "
            "at, at 5 % or 64MB above; files in /dev/shm count there."
        ),
    ] = None
    replace_above: Annotated[
        Memory | None,
        OnResume(),
        Doc("An executor that uses more is replaced before its next mini-batch, for scripts that leak memory."),
    ] = None
    coordinator_works: Annotated[
        bool | None, Auto(), OnResume(), Doc("Rank 0 has an executor too. `auto`: up to 32 ranks.")
    ] = None
    device: Annotated[Device, OnResume(), Doc("What executors run on. `auto`: GPUs where there are some.")] = (
        Device.AUTO
    )
    run_invocation_timeout: Annotated[Seconds, OnResume(), Doc("For one call of `run()`.")] = 60.0
    load_timeout: Annotated[Seconds, OnResume(), Doc("To load a mini-batch, and to encode its rows.")] = 300.0
    init_timeout: Annotated[Seconds, OnResume(), Doc("For the import of the script and `init()`.")] = 600.0
    run_max_try: Annotated[int, Interval(ge=1, le=255), OnResume(), Doc("Total tries of a mini-batch.")] = 3
    isolate_failures: Annotated[
        bool, OnResume(), Doc("A mini-batch that failed its last try is run in parts, to find the items that fail it.")
    ] = False
    backup_tasks: Annotated[
        bool,
        OnResume(),
        Doc(
            "Once executors idle, a mini-batch that takes 3 times the median (and 5 s) is begun again elsewhere. The "
            "first to succeed counts, the other is ended. So `run()` may be at work twice at a time on one mini-batch, "
            "and be killed halfway: only for scripts without side effects that clash."
        ),
    ] = False
    executor_restart: Annotated[
        ExecutorRestart,
        OnResume(),
        Doc(
            "When an executor is replaced because the script fails in it, since what has failed once may have spoiled "
            "the process. `on_failure`: after each failure, so that no retry runs in the process that failed it. "
            "`on_repeated_failure`: when another mini-batch fails right after; that failure is no try. `auto`: "
            "`on_failure` as long as the executors that it starts take less than 10 s, or less than a tenth of the "
            "rank's time, from start to the end of `init()`; beyond that `on_repeated_failure`. Where new executors "
            "do not help, fewer and fewer are started."
        ),
    ] = ExecutorRestart.AUTO
    max_mini_batches_per_executor: Annotated[
        int,
        Interval(ge=0, le=LARGEST),
        Means(0, "for never"),
        OnResume(),
        Doc("The executor is replaced after so many, for scripts that leak memory."),
    ] = 0
    grace: Annotated[
        float,
        Interval(ge=0, le=YEAR),
        Quantity("seconds"),
        OnResume(),
        Doc("What mini-batches that are running get when the run must stop."),
    ] = 30.0
    rank_timeout: Annotated[Seconds, OnResume(), Doc("A rank that is silent for so long is declared lost.")] = 60.0
    logging_level: Annotated[
        Literal["WARNING", "INFO", "DEBUG"], OnResume(), Doc("What is written to `logs/sys/`.")
    ] = "INFO"
    environment_variables: Annotated[dict[str, Variable], Doc("Set for the script.")] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One step, ready to run. `arguments` still hold `${{ side_inputs.X }}` of those staged to nodes.

    file: absolute path of the job file; "" for a job that a program has made
    """

    name: Annotated[str, JOB_NAME, Doc("The job's name.")]
    parameters: Annotated[
        dict[str, Scalar],
        Doc("Names and defaults for `${{ parameters.NAME }}`; `--set NAME=VALUE` gives one run other values."),
    ] = field(default_factory=dict)
    inputs: Annotated[
        tuple[Input, ...], Doc("What is cut into mini-batches, each input by itself, in this order.")
    ] = ()
    side_inputs: Annotated[
        tuple[SideInput, ...],
        ShortFor("path"),
        Doc("What the script uses whole, such as a model: `${{ side_inputs.NAME }}` is its path."),
    ] = ()
    arguments: Annotated[tuple[Argument, ...], Doc("`sys.argv` of the script.")] = ()
    output: Annotated[PathText, Doc("The folder in which each run makes its own.")] = "runs"
    allow_reuse: Annotated[bool, Doc("Whether a finished run of the same may stand for a new one.")] = True
    config: Annotated[RunConfig, Key("parallel_run_config", required=True), Doc("How it is run.")]
    file: Annotated[str, Internal()] = ""
