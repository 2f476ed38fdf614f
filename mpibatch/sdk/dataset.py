"""`Dataset`: the way to datasets of files and tables, new ones and registered ones.

Dataset.Tabular.from_delimited_files(path) --> TabularDataset of {"type": "csv", "path": ..., ...}
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mpibatch.config.partition_format import keys_of
from mpibatch.sdk.dataset_kinds import FileDataset, TabularDataset, from_entry, workspace_of, write_parquet
from mpibatch.sdk.dataset_paths import resolve_paths
from mpibatch.sdk.datastore import DataPath, Datastore
from mpibatch.sdk.notices import notify
from mpibatch.sdk.registries import Registries
from mpibatch.sdk.table_options import columns, delimited
from mpibatch.sdk.tags import Tags
from mpibatch.workspace.catalogue import parse_version

if TYPE_CHECKING:
    import pandas as pd


class FileFactory:
    """`Dataset.File`."""

    @staticmethod
    def from_files(
        path: Any, validate: bool = True, partition_format: str | None = None, **ignored: Any
    ) -> FileDataset:
        """path: text, DataPath, (datastore, glob), or a list of these; a folder means all files below it.

        validate:         an InputError where nothing is there
        partition_format: such as `{user}/{season}/*.png`: the keys that the ends of the paths tell
        """
        data = {"type": "files", "path": resolve_paths(path, partition_format)}
        made = FileDataset(data, keys_of(partition_format))
        if validate:
            made._files()
        return made


class TabularFactory:
    """`Dataset.Tabular`."""

    @staticmethod
    def from_delimited_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        infer_column_types: bool = True,
        set_column_types: Mapping[str, Any] | None = None,
        separator: str = ",",
        header: Any = True,
        partition_format: str | None = None,
        support_multi_line: bool = False,
        empty_as_string: bool = False,
        encoding: str = "utf8",
    ) -> TabularDataset:
        """Rows of CSV files.

        header: False, or PromoteHeadersBehavior.NO_HEADERS, where the first line names nothing
        """
        options = delimited(separator, header, support_multi_line, encoding)
        return _table("csv", path, validate, partition_format, {**options, **columns(include_path, set_column_types)})

    @staticmethod
    def from_parquet_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: Mapping[str, Any] | None = None,
        partition_format: str | None = None,
    ) -> TabularDataset:
        if set_column_types:
            notify("set_column_types is not used for Parquet files, which have their types")
        return _table("parquet", path, validate, partition_format, columns(include_path))

    @staticmethod
    def from_json_lines_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: Mapping[str, Any] | None = None,
        partition_format: str | None = None,
        **ignored: Any,
    ) -> TabularDataset:
        return _table("jsonl", path, validate, partition_format, columns(include_path, set_column_types))

    @staticmethod
    def register_pandas_dataframe(
        dataframe: "pd.DataFrame",
        target: Any,
        name: str,
        description: str | None = None,
        tags: Tags = None,
        show_progress: bool = True,
    ) -> TabularDataset:
        """Writes a DataFrame as Parquet below `target`, a datastore or a place in one, and registers it."""
        place = DataPath(target, f"managed-dataset/{quote(name)}") if isinstance(target, Datastore) else target
        root = resolve_paths(place, None)
        assert isinstance(root, str)
        write_parquet(dataframe, f"{root}/data.parquet")
        made = TabularDataset({"type": "parquet", "path": f"{root}/data.parquet"})
        registered: TabularDataset = made.register(
            workspace_of(place), name, description, tags, create_new_version=True
        )
        return registered


class Dataset:
    """The way to both kinds, and to registered ones."""

    File = FileFactory
    Tabular = TabularFactory

    @staticmethod
    def get_by_name(workspace: Registries, name: str, version: int | str | None = "latest") -> Any:
        """The registered dataset. Raises WorkspaceError where there is none."""
        return from_entry(workspace.dataset_registry.catalogue.get(name, parse_version(version)))

    @staticmethod
    def get_all(workspace: Registries) -> dict[str, Any]:
        return {entry.name: from_entry(entry) for entry in workspace.dataset_registry.catalogue.latest()}


def _table(
    kind: str, path: Any, validate: bool, partition_format: str | None, options: dict[str, Any]
) -> TabularDataset:
    data = {"type": kind, "path": resolve_paths(path, partition_format), **options}
    made = TabularDataset(data, keys_of(partition_format))
    if validate:
        made.take(1).to_pandas_dataframe()
    return made
