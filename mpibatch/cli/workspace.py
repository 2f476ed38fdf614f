"""The commands about the workspace: `mpibatch models`, `datastores` and `datasets`."""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mpibatch.errors import UsageError

if TYPE_CHECKING:
    from mpibatch.workspace.catalogue import Entry

reference = click.argument("reference", metavar="NAME[:VERSION]")
description = click.option("--description", default="", help="A sentence about it.")
tags = click.option("--tag", "tags", metavar="K=V", multiple=True, help="A tag; may be given several times.")


@click.group()
def models() -> None:
    """Models of the workspace.

    `model: NAME[:VERSION]` in a job's side_inputs, or Model.get_model_path(NAME) in a script, finds them.
    """


@models.command("list")
def list_models() -> None:
    """All versions of all models."""
    from mpibatch.workspace.models import ModelRegistry

    registry = ModelRegistry(home())
    _print_entries(registry.catalogue.all(), lambda entry: str(registry.path_of(entry)))


@models.command("register")
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@tags
@description
def register_model(name: str, path: Path, tags: tuple[str, ...], description: str) -> None:
    """Copy a file, a folder, or what is in a tar, as the next version of a model."""
    from mpibatch.workspace.models import ModelRegistry

    entry = ModelRegistry(home()).register(name, path, description=description, tags=parse_tags(tags))
    click.echo(f"{entry.name}:{entry.version}")


@models.command("show")
@reference
def show_model(reference: str) -> None:
    """One version, as JSON."""
    from mpibatch.workspace.catalogue import parse_reference
    from mpibatch.workspace.models import ModelRegistry

    registry = ModelRegistry(home())
    entry = registry.catalogue.get(*parse_reference(reference))
    click.echo(json.dumps({**asdict(entry), "path": str(registry.path_of(entry))}, indent=1))


@click.group()
def datastores() -> None:
    """Datastores of the workspace: names for folders and addresses."""


@datastores.command("list")
def list_datastores() -> None:
    """All names, and where they are."""
    from mpibatch.workspace.datastores import DatastoreRegistry

    registry = DatastoreRegistry(home())
    for name in registry.names():
        click.echo(f"{name}  {registry.address(name)}{'  (default)' if name == registry.default else ''}")


@datastores.command("register")
@click.argument("name")
@click.argument("path")
@click.option("--overwrite", is_flag=True, help="Also where the name has another address.")
def register_datastore(name: str, path: str, overwrite: bool) -> None:
    """Give a folder, or an address such as s3://bucket/folder, a name."""
    from mpibatch.workspace.datastores import DatastoreRegistry

    click.echo(f"{name}  {DatastoreRegistry(home()).register(name, path, overwrite=overwrite)}")


@datastores.command("show")
@click.argument("name")
def show_datastore(name: str) -> None:
    """Where a datastore is."""
    from mpibatch.workspace.datastores import DatastoreRegistry

    click.echo(DatastoreRegistry(home()).address(name))


@datastores.command("default")
@click.argument("name")
def default_datastore(name: str) -> None:
    """Make a datastore the default."""
    from mpibatch.workspace.datastores import DatastoreRegistry

    DatastoreRegistry(home()).set_default(name)


@click.group()
def datasets() -> None:
    """Datasets of the workspace: inputs under a name."""


@datasets.command("list")
def list_datasets() -> None:
    """All versions of all datasets."""
    from mpibatch.workspace.datasets import DatasetRegistry

    _print_entries(DatasetRegistry(home()).catalogue.all(), lambda entry: f"{entry.data['type']} {entry.data['path']}")


def input_type(ctx: click.Context, param: click.Parameter, kind: str) -> str:
    """A type of inputs. No click.Choice: what knows the types would be imported for every `--help`."""
    from mpibatch.config.choices import InputType

    if kind not in list(InputType):
        raise click.BadParameter(f"{kind!r} is none of {', '.join(InputType)}")
    return kind


@datasets.command("register")
@click.argument("name")
@click.argument("path", nargs=-1, required=True)
@click.option("--type", "kind", callback=input_type, default="files", help="As in a job file [default: files].")
@click.option("--new-version", is_flag=True, help="Also where another dataset has the name.")
@tags
@description
def register_dataset(
    name: str, path: tuple[str, ...], kind: str, new_version: bool, tags: tuple[str, ...], description: str
) -> None:
    """Give files, globs or folders a name; nothing is copied."""
    from mpibatch.workspace.datasets import DatasetRegistry
    from mpibatch.workspace.datastores import is_url

    paths = [one if is_url(one) else os.path.abspath(one) for one in path]
    entry = DatasetRegistry(home()).register(
        name,
        {"type": kind, "path": paths[0] if len(paths) == 1 else paths},
        description=description,
        tags=parse_tags(tags),
        create_new_version=new_version,
    )
    click.echo(f"{entry.name}:{entry.version}")


@datasets.command("show")
@reference
def show_dataset(reference: str) -> None:
    """One version, as JSON."""
    from mpibatch.workspace.datasets import DatasetRegistry

    click.echo(json.dumps(asdict(DatasetRegistry(home()).resolve(reference)), indent=1))


def home() -> Path:
    """The workspace that the commands are about."""
    from mpibatch.workspace.home import find_home

    return find_home(os.environ)


def parse_tags(texts: Iterable[str]) -> dict[str, str]:
    """K=V of the command line. Raises UsageError."""
    pairs = [text.partition("=") for text in texts]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise UsageError(f"--tag {wrong[0]} has no =; write --tag NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _print_entries(entries: "Iterable[Entry]", where: "Callable[[Entry], str]") -> None:
    """A line a version."""
    for entry in entries:
        labels = "".join(f"  {name}={value}" for name, value in entry.tags.items())
        click.echo(f"{entry.name}:{entry.version}  {entry.created}  {where(entry)}{labels}")
