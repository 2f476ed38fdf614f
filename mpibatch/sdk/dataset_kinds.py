"""The two kinds of datasets, files and tables: descriptions of where data is. Nothing is read before it is asked for.

FileDataset, TabularDataset --to_data()--> {"type": "csv", "path": ..., ...}   an entry of `inputs:`
                            --register---> a version of a name in the workspace     --from_entry--> the same again
"""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mpibatch.errors import WorkspaceError
from mpibatch.sdk import row_choice
from mpibatch.sdk.consumption import DatasetConsumptionConfig
from mpibatch.sdk.dataset_paths import resolve_paths
from mpibatch.sdk.datastore import DataPath, Datastore
from mpibatch.sdk.notices import notify
from mpibatch.sdk.registries import Registries
from mpibatch.sdk.tags import Tags, tag_dict
from mpibatch.workspace.catalogue import Entry

if TYPE_CHECKING:
    import pandas as pd


class AbstractDataset:
    """What both kinds have. name, version: of the registered one, else None.

    partition_keys: by which it can be cut, [] where its paths tell none
    """

    def __init__(self, data: Mapping[str, Any], keys: Sequence[str] = ()) -> None:
        self._data = dict(data)
        self.partition_keys = list(keys)
        self.name: str | None = None
        self.version: int | None = None
        self.description = ""
        self.tags: dict[str, str] = {}

    def __repr__(self) -> str:
        label = f"{self.name}:{self.version}, " if self.name else ""
        return f"{type(self).__name__}({label}{self._data['path']!r})"

    @property
    def id(self) -> str | None:
        return f"{self.name}:{self.version}" if self.name else None

    def to_data(self) -> dict[str, Any]:
        """It as an entry of a job file's `inputs:`."""
        return dict(self._data)

    def register(
        self,
        workspace: Registries,
        name: str,
        description: str | None = None,
        tags: Tags = None,
        create_new_version: bool = False,
    ) -> Any:
        """It under a name. Raises WorkspaceError where another has it and `create_new_version` is not set."""
        kept = {**self.to_data(), "partition_keys": self.partition_keys} if self.partition_keys else self.to_data()
        entry = workspace.dataset_registry.register(
            name, kept, description=description or "", tags=tag_dict(tags), create_new_version=create_new_version
        )
        return from_entry(entry)

    def _ensure_saved(self, workspace: Registries) -> str | None:
        """There is nothing to save; programs call it before they submit."""
        return self.id

    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(name, self)


class FileDataset(AbstractDataset):
    """Files."""

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(None, self, "mount", path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(None, self, "download", path_on_compute)

    def as_hdfs(self) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(None, self)

    def to_path(self) -> list[str]:
        """Each file, relative to the folder that they have in common, with a leading /."""
        return ["/" + name for name, _ in self._files()]

    def take(self, count: int) -> "FileDataset":
        """The first files."""
        return FileDataset({**self._data, "path": [file for _, file in self._files()][:count]}, self.partition_keys)

    def download(self, target_path: str | None = None, overwrite: bool = False, **ignored: Any) -> list[str]:
        """Copies the files below a folder; their new paths. Raises WorkspaceError where one is there already."""
        import fsspec

        folder = Path(target_path or "download").absolute()
        copied = []
        for name, file in self._files():
            target = folder / name
            if target.exists() and not overwrite:
                raise WorkspaceError(f"{target} is there already; overwrite=True replaces it")
            target.parent.mkdir(parents=True, exist_ok=True)
            with fsspec.open(file, "rb") as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            copied.append(os.fspath(target))
        return copied

    def _files(self) -> list[tuple[str, str]]:
        """Relative and whole path of each file. Raises InputError where there are none."""
        from mpibatch.config.load import input_from_data
        from mpibatch.datasets.paths import find, root_of

        spec = input_from_data(self.name or "dataset", self.to_data())
        found = [os.fsdecode(path) for path in find(spec)]
        if any("://" in file for file in found):
            root = _common_folder(found)
        else:
            root = root_of(spec)
            root = os.path.dirname(root) if root in found else root
        return [(file[len(root) :].lstrip("/"), file) for file in found]


class TabularDataset(AbstractDataset):
    """Rows of files of one kind.

    choices: what `take`, `filter` and `random_split` have chosen of them, one after the other
    """

    def __init__(
        self, data: Mapping[str, Any], keys: Sequence[str] = (), choices: Sequence[row_choice.Choice] = ()
    ) -> None:
        super().__init__(data, keys)
        self._choices = tuple(choices)

    def __getitem__(self, column: str) -> row_choice.Column:
        """A column, for conditions of `filter`: `dataset["age"] > 30`."""
        return row_choice.Column(column)

    def to_data(self) -> dict[str, Any]:
        """Chosen rows become a Parquet file of the workspace first, since an input is whole files; a line says so."""
        if self._choices:
            path = row_choice.write_once(self.to_pandas_dataframe(), Datastore().address)
            notify(f"the rows that were chosen of {self._data['path']!r} are written to {path}")
            self._data, self._choices = {"type": "parquet", "path": path}, ()
        return super().to_data()

    def to_pandas_dataframe(self, **ignored: Any) -> "pd.DataFrame":
        """All rows, read as a step would read them. Raises InputError and LoadError."""
        import pandas as pd

        from mpibatch.config.load import input_from_data
        from mpibatch.datasets import open_dataset

        dataset = open_dataset(input_from_data(self.name or "dataset", self._data), None)
        enough = self._choices[0].rows_needed if self._choices else None
        frames, rows = [], 0
        payloads = [split.payload for split in dataset.plan(map)]
        for payload in payloads:
            frames.append(dataset.load(payload).value)
            rows += len(frames[-1])
            if enough is not None and rows >= enough:
                break
        frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
        for choice in self._choices:
            frame = choice.of(frame).reset_index(drop=True)
        return frame

    def take(self, count: int) -> "TabularDataset":
        """The first rows."""
        return self._choose(row_choice.First(count))

    def filter(self, expression: row_choice.Condition) -> "TabularDataset":
        """The rows of which a condition holds: `dataset.filter(dataset["age"] > 30)`."""
        return self._choose(row_choice.Where(expression))

    def random_split(self, percentage: float, seed: int | None = None) -> "tuple[TabularDataset, TabularDataset]":
        """Each row in one of two datasets; in the first with the probability `percentage`, from 0 to 1.

        seed: the same gives the same rows again; None: another each time
        """
        if not 0 <= percentage <= 1:
            raise WorkspaceError(f"random_split: percentage is {percentage!r}; it must be a number from 0 to 1")
        number = int.from_bytes(os.urandom(4), "big") if seed is None else seed
        first, second = (row_choice.Share(percentage, number, of_others) for of_others in (False, True))
        return self._choose(first), self._choose(second)

    def keep_columns(self, columns: str | Iterable[str], validate: bool = False) -> "TabularDataset":
        data = {key: value for key, value in self._data.items() if key != "drop_columns"}
        return TabularDataset({**data, "columns": _names(columns)}, self.partition_keys, self._choices)

    def drop_columns(self, columns: str | Iterable[str]) -> "TabularDataset":
        dropped = _names(columns)
        if "columns" in self._data:
            return self.keep_columns(name for name in self._data["columns"] if name not in dropped)
        dropped = [*self._data.get("drop_columns", []), *dropped]
        return TabularDataset({**self._data, "drop_columns": dropped}, self.partition_keys, self._choices)

    def _choose(self, choice: row_choice.Choice) -> "TabularDataset":
        return TabularDataset(self._data, self.partition_keys, (*self._choices, choice))

    def partition_by(
        self,
        partition_keys: Sequence[str],
        target: Any,
        name: str | None = None,
        show_progress: bool = True,
        partition_as_file_dataset: bool = False,
    ) -> Any:
        """Writes the rows of each combination of keys to a Parquet file of its own below `target`.

        target: a DataPath, or (datastore, folder)
        name:   the result is registered under it
        """
        root = resolve_paths(target, None)
        assert isinstance(root, str)
        frame = self.to_pandas_dataframe()
        if missing := [key for key in partition_keys if key not in frame.columns]:
            raise WorkspaceError(f"there are no columns {missing} to partition by; there are {list(frame.columns)}")
        for number, (values, rows) in enumerate(frame.groupby(list(partition_keys), dropna=False)):
            named = zip(partition_keys, values, strict=True)
            folder = os.path.join(root, *(f"{quote(key)}={quote(str(value), safe='')}" for key, value in named))
            write_parquet(rows, f"{folder}/part-{number:05}.parquet")
        kind: type[AbstractDataset] = FileDataset if partition_as_file_dataset else TabularDataset
        pattern = "/".join(f"{key}={{{key}}}" for key in partition_keys)
        data = (
            {"type": "files", "path": f"{root}/{pattern}/*.parquet"}
            if partition_as_file_dataset
            else {"type": "parquet", "path": f"{root}/**/*.parquet"}
        )
        made = kind(data, list(partition_keys))
        if name is None:
            return made
        return made.register(workspace_of(target), name, create_new_version=True)


def from_entry(entry: Entry) -> Any:
    """The dataset that is registered."""
    made = from_data(entry.data)
    made.name, made.version = entry.name, entry.version
    made.description, made.tags = entry.description, dict(entry.tags)
    return made


def from_data(entry: Mapping[str, Any]) -> Any:
    """The dataset of an entry of `inputs:`."""
    data = dict(entry)
    keys = data.pop("partition_keys", [])
    return (FileDataset if data.get("type") == "files" else TabularDataset)(data, keys)


def _names(columns: str | Iterable[str]) -> list[str]:
    return [columns] if isinstance(columns, str) else list(columns)


def _common_folder(files: list[str]) -> str:
    """Of URLs, whose `//` os.path.commonpath would lose."""
    common: list[str] = []
    for parts in zip(*(file.split("/")[:-1] for file in files), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "/".join(common)


def workspace_of(target: Any) -> Registries:
    datastore = target.datastore if isinstance(target, DataPath) else target[0]
    found: Registries = datastore.workspace
    return found


def write_parquet(frame: "pd.DataFrame", path: str) -> None:
    import fsspec

    with fsspec.open(path, "wb", auto_mkdir=True) as file:
        frame.to_parquet(file, index=False)
