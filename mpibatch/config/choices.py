"""The words of which a setting is one."""

from enum import StrEnum


class InputType(StrEnum):
    FILES = "files"
    TAR = "tar"
    LINES = "lines"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    ARROW = "arrow"
    ORC = "orc"
    HDF5 = "hdf5"
    MLTABLE = "mltable"  # of a job file only: its folder's file MLTable says which of the others it is


TABLES = ("csv", "jsonl", "parquet", "arrow", "orc")
"""Types of inputs whose mini-batches are DataFrames."""


class OutputAction(StrEnum):
    APPEND_ROW = "append_row"
    SUMMARY_ONLY = "summary_only"


class QuotedNewlines(StrEnum):
    AUTO = "auto"
    TRUE = "true"
    FALSE = "false"


class LineEnds(StrEnum):
    """Where rows of a CSV end."""

    AUTO = "auto"
    LF = "lf"
    CR = "cr"


class EncodingErrors(StrEnum):
    """What becomes of bytes that are no text in the encoding: Python's names."""

    STRICT = "strict"
    REPLACE = "replace"
    IGNORE = "ignore"
    BACKSLASHREPLACE = "backslashreplace"


class ByteStrings(StrEnum):
    """What becomes of an HDF5 file's strings."""

    TEXT = "text"
    LATIN_1 = "latin-1"
    BYTES = "bytes"


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


class ExecutorRestart(StrEnum):
    """When an executor is replaced because mini-batches fail in it."""

    AUTO = "auto"
    ON_FAILURE = "on_failure"
    ON_REPEATED_FAILURE = "on_repeated_failure"
    NEVER = "never"


class Stage(StrEnum):
    NONE = "none"
    NODE = "node"
