"""What the values of settings look like: kinds of text and numbers that several settings share."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from mpibatch.config.markers import Interval, Means, Pattern, Quantity, Written

LARGEST = 2**63 - 1
"""The largest count or size anywhere in a job: what the plan and the log can hold."""
YEAR = 365 * 24 * 3600

REFERENCE = re.compile(r"\$\{\{\s*([^{}]*?)\s*\}\}")
"""`${{ parameters.X }}`, `${{ side_inputs.X }}`."""
NAME = Pattern(
    r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$",
    "letters, digits, - and _, beginning with a letter or _, and at most 64 of them",
)
JOB_NAME = Pattern(
    r"^[a-z][-a-z0-9]{1,30}[a-z0-9]$",
    "3 to 32 lower-case letters, digits and -, beginning with a letter and not ending with -",
)

Scalar = str | int | float | bool
Text = Annotated[str, Pattern(r"\S", "text that is not empty")]
PathText = Annotated[str, Pattern(r"\S", "a path")]
Character = Annotated[str, Pattern(r"^[\t -~]$", "a single ASCII character")]
OptionalCharacter = Annotated[str, Pattern(r"^[\t -~]?$", 'a single ASCII character, or "" for none')]
FloatFormat = Annotated[
    str, Pattern(r"^[^%]*%[-+ #0]*[0-9]{0,3}(\.[0-9]{1,3})?[eEfFgG][^%]*$", 'a format of one number, such as "%.3f"')
]
OutputFile = Annotated[
    str,
    Pattern(
        r"^[^/]+\.((txt|csv|jsonl)(\.(gz|zst))?|parquet|arrow)$",
        "a plain file name that ends in .txt, .csv or .jsonl, which .gz or .zst may follow, or in .parquet or .arrow",
    ),
]
Argument = Annotated[str, Written(Scalar, "text, a number, or true or false")]
NullValue = Annotated[str, Written(str | int | float, "text or a number")]
Variable = Annotated[str, Written(str | int | float, "text or a number; put true and false in quotes")]
Memory = Annotated[
    str, Pattern(r"^[1-9][0-9]{0,8}(\.[0-9]{1,3})? ?[KMGTkmgt][Bb]$", 'an amount of memory, such as "16GB"')
]
Seconds = Annotated[float, Interval(gt=0, le=YEAR), Quantity("seconds")]
Tolerated = Annotated[int, Interval(ge=-1, le=LARGEST), Means(-1, "to tolerate all")]
Total = Annotated[int, Interval(ge=1, le=LARGEST)]


class Unit(StrEnum):
    """What `mini_batch_size` counts."""

    ITEMS = "items"  # files
    ROWS = "rows"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Size:
    """`mini_batch_size`: 10, "1MB", "500 rows"."""

    value: int
    unit: Unit
