"""What pandas has written beside the columns of a file: nullable types, and which columns are an index.

schema of a file, ColumnFacts --described_schema--> schema whose metadata schemas.py and grouped_table.py read
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from mpibatch.datasets.schemas import NULLABLE, PANDAS, ColumnFacts, decoded_schema, marked_field


def described_schema(schema: Any, facts: Mapping[str, ColumnFacts]) -> Any:
    """The schema of a file with what its values tell, and the index that pandas wrote."""
    nullable = _pandas_types(schema)
    fields = []
    for field in decoded_schema(schema):
        marks = {PANDAS: nullable[field.name].encode()} if field.name in nullable else {}
        fields.append(marked_field(field, facts[field.name], marks))
    return pa.schema(fields, metadata={b"index": json.dumps(sorted(_index_of(schema))).encode()})


def _pandas_metadata(schema: Any) -> dict[str, Any]:
    """What pandas wrote beside the columns; empty where it did not, or what it wrote makes no sense."""
    try:
        found = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _pandas_types(schema: Any) -> dict[str, str]:
    """Columns of pandas' nullable types, by name."""
    columns = _pandas_metadata(schema).get("columns", [])
    told = {str(column.get("field_name")): column.get("numpy_type") for column in columns if isinstance(column, dict)}
    return {name: kind for name, kind in told.items() if kind in NULLABLE}


def _index_of(schema: Any) -> set[str]:
    index = _pandas_metadata(schema).get("index_columns", [])
    return {name for name in index if isinstance(name, str)} & set(schema.names)


def index_columns(schema: Any) -> set[str]:
    return set(json.loads((schema.metadata or {}).get(b"index", b"[]")))
