"""The job file as frozen dataclasses: DESIGN section 5, after validation and with every path absolute.

Plain standard-library dataclasses, so that ranks and executors can hold them without importing the validator;
`validate.py` is the only file that knows pydantic. `serialize.py` carries a job through run.json and MPI.
"""

from dataclasses import dataclass, field
from enum import StrEnum

JOB_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"  # and 3 to 32 characters


class InputType(StrEnum):
    FILES = "files"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    HDF5 = "hdf5"


class Unit(StrEnum):
    """What `mini_batch_size` counts."""

    ITEMS = "items"  # files
    ROWS = "rows"
    BYTES = "bytes"


class OutputAction(StrEnum):
    APPEND_ROW = "append_row"
    SUMMARY_ONLY = "summary_only"


class QuotedNewlines(StrEnum):
    AUTO = "auto"
    TRUE = "true"
    FALSE = "false"


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


class Stage(StrEnum):
    NONE = "none"
    NODE = "node"  # copied to node-local disk once per node


@dataclass(frozen=True, slots=True)
class Size:
    """`mini_batch_size`: 10, "1MB", "500 rows"."""

    value: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Input:
    """One input: absolute paths, globs, folders or fsspec URLs in `paths`, or a `manifest` that lists such.

    Next to a glob, the glob characters of the job file's own folder are escaped. A path that exists under its
    very name is no glob: look for that first.
    """

    name: str
    type: InputType
    paths: tuple[str, ...] = ()
    manifest: str | None = None
    has_header: bool = True  # csv
    delimiter: str = ","  # csv; "\t" for .tsv unless set
    quote: str = '"'  # csv
    encoding: str = "utf-8"  # csv
    column_types: dict[str, str] = field(default_factory=dict)  # csv, jsonl
    columns: tuple[str, ...] = ()  # csv, jsonl, parquet; empty: all
    quoted_newlines: QuotedNewlines = QuotedNewlines.AUTO  # csv
    datasets: tuple[str, ...] = ()  # hdf5


@dataclass(frozen=True, slots=True)
class SideInput:
    """A path that the script uses and that is not partitioned."""

    name: str
    path: str
    stage: Stage = Stage.NONE


@dataclass(frozen=True, slots=True)
class RowFormat:
    """`append_row_format`: all but schema (column name to type) are for csv only."""

    sep: str = ","
    header: bool = True
    index: bool = False
    float_format: str | None = None
    date_format: str | None = None
    schema: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ParallelRunConfig:
    """`parallel_run_config`; names and meanings are ParallelRunStep's. Durations in seconds."""

    source_directory: str
    entry_script: str
    mini_batch_size: Size | None = None  # None: a Parquet row group, an HDF5 chunk, or one of the next two keys
    mini_batch_count: int | None = None
    partition_keys: tuple[str, ...] = ()
    error_threshold: int = 0
    allowed_failed_count: int = -1
    allowed_failed_percent: float = 100.0
    output_action: OutputAction = OutputAction.APPEND_ROW
    append_row_file_name: str = "parallel_run_step.txt"
    append_row_format: RowFormat = field(default_factory=RowFormat)
    node_count: int = 1
    process_count_per_node: int | None = 1  # None: "auto"
    processes_per_gpu: int = 1
    coordinator_works: bool | None = None  # None: "auto"
    device: Device = Device.AUTO
    run_invocation_timeout: float = 60.0
    load_timeout: float = 300.0
    init_timeout: float = 600.0
    run_max_try: int = 3
    isolate_failures: bool = False
    max_mini_batches_per_executor: int = 0
    grace: float = 30.0
    rank_timeout: float = 60.0
    logging_level: str = "INFO"
    environment_variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """One step, ready to run. `arguments` still hold `${{ side_inputs.X }}` of those staged to nodes."""

    file: str  # absolute path of the job file
    name: str
    inputs: tuple[Input, ...]
    side_inputs: tuple[SideInput, ...]
    arguments: tuple[str, ...]
    output: str  # absolute: parent of the run directories
    allow_reuse: bool
    parameters: dict[str, object]
    config: ParallelRunConfig
