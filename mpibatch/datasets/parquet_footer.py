"""What the footer of a Parquet file tells of its columns, and what has to be read where it does not."""

from typing import Any

import pyarrow as pa

from mpibatch.datasets.pandas_metadata import described_schema
from mpibatch.datasets.schemas import ColumnFacts, extremes


def described(parquet: Any, groups: list[Any]) -> Any:
    """The schema of a file with what its values tell: nulls, integers beyond 2**53, columns without a value."""
    columns = {groups[0].column(at).path_in_schema: at for at in range(groups[0].num_columns)} if groups else {}
    rows = sum(group.num_rows for group in groups)
    facts = {}
    for field in parquet.schema_arrow:
        plain = pa.types.is_integer(field.type) or pa.types.is_boolean(field.type)
        if field.name in columns and rows:
            found = _column_facts(parquet, groups, columns[field.name], field.name, plain)
        else:
            found = (0, None, None)
        facts[field.name] = ColumnFacts(rows, *found)
    return described_schema(parquet.schema_arrow, facts)


def _column_facts(parquet: Any, groups: list[Any], at: int, name: str, exact: bool) -> tuple[int, Any, Any]:
    """Nulls, least and largest value of a column. exact: read for it where the footer does not tell."""
    nulls, least, largest = 0, None, None
    for number, group in enumerate(groups):
        column = group.column(at)
        told = column.statistics if column.is_stats_set else None
        if (
            told is not None
            and told.has_null_count
            and (not exact or told.has_min_max or told.null_count == group.num_rows)
        ):
            nulls += told.null_count
            here = (told.min, told.max) if exact and told.has_min_max else (None, None)
        elif exact:
            values = parquet.read_row_group(number, [name], use_threads=False).column(0)
            nulls += values.null_count
            here = extremes(values)
        else:
            nulls, here = nulls + 1, (None, None)
        least = here[0] if least is None else least if here[0] is None else min(least, here[0])
        largest = here[1] if largest is None else largest if here[1] is None else max(largest, here[1])
    return nulls, least, largest
