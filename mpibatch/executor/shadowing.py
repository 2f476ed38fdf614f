"""Neighbours of the script that have the name of a module which mpibatch or its libraries still have to import.

With the script's folder first on sys.path a `random.py` there would be imported in place of Python's, by pandas too.
Where there is such a neighbour, all that formats import is imported before; otherwise nothing is, to save the time.
"""

import importlib
import pkgutil
import sys
from contextlib import suppress
from pathlib import Path

LIBRARIES = (
    "pandas",
    "pyarrow",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.json",
    "pyarrow.parquet",
    "h5py",
    "fsspec",
)
OURS = ("datasets", "output")
STANDARD = (
    "csv",
    "json",
    "random",
    "tempfile",
    "statistics",
    "secrets",
    "copy",
    "queue",
    "uuid",
    "multiprocessing.pool",
)


def import_before(*folders: Path) -> None:
    """To be called before `folders` enter sys.path."""
    if not any(_shadows(entry.name) for folder in folders if folder.is_dir() for entry in folder.iterdir()):
        return
    for package in OURS:
        folder = Path(__file__).parents[1] / package
        for module in pkgutil.iter_modules([str(folder)]):
            _try_import(f"mpibatch.{package}.{module.name}")
    for name in (*STANDARD, *LIBRARIES):
        _try_import(name)


def _shadows(file_name: str) -> bool:
    name = file_name.partition(".")[0]
    return name in sys.stdlib_module_names or name in {library.partition(".")[0] for library in LIBRARIES}


def _try_import(name: str) -> None:
    with suppress(ImportError):  # an extra that is not installed is not needed either
        importlib.import_module(name)
