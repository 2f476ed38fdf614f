"""DataType and PromoteHeadersBehavior: how programs name the types of columns, and where the headers are."""

from enum import IntEnum


class DataType:
    """Each gives the name of a type as `column_types` of a job file has it."""

    @staticmethod
    def to_string() -> str:
        return "string"

    @staticmethod
    def to_long() -> str:
        return "int64"

    @staticmethod
    def to_float(decimal_mark: str = ".") -> str:
        return "float64"

    @staticmethod
    def to_bool() -> str:
        return "bool"

    @staticmethod
    def to_datetime(formats: object = None) -> str:
        return "timestamp"


class PromoteHeadersBehavior(IntEnum):
    """Which files' first lines name the columns; all of them, or none, is what there is here."""

    NO_HEADERS = 0
    ONLY_FIRST_FILE_HAS_HEADERS = 1
    COMBINE_ALL_FILES_HEADERS = 2
    ALL_FILES_HAVE_SAME_HEADERS = 3
