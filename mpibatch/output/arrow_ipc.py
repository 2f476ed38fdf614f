"""Arrow files (IPC, Feather version 2) of what columnar.py has collected.

Categories are their values in them, since a column has one dictionary in all of such a file.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from mpibatch.output.columnar import ColumnarFormat


class ArrowFormat(ColumnarFormat):
    """Rank 0's half."""

    has_categories = False

    def table_writer(self, file: Any, schema: Any) -> Any:
        return pa.ipc.new_file(file, schema)

    def read(self, path: Path) -> Any:
        with path.open("rb") as file:
            options = pa.ipc.IpcReadOptions(use_threads=False)  # see read_parquet
            return pa.ipc.open_file(file, options=options).read_all()
