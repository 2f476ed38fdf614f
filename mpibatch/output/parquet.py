"""Parquet files of what columnar.py has collected."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mpibatch.arrow import read_parquet
from mpibatch.output.columnar import ColumnarFormat


class ParquetFormat(ColumnarFormat):
    """Rank 0's half."""

    has_categories = True

    def table_writer(self, file: Any, schema: Any) -> Any:
        return pq.ParquetWriter(file, schema)

    def read(self, path: Path) -> Any:
        return read_parquet(path)
