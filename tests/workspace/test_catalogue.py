"""The catalogue: versions, and that nothing is lost or half there whatever happens at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mpibatch.errors import WorkspaceError
from mpibatch.workspace.catalogue import Catalogue, parse_reference
from mpibatch.workspace.datasets import DatasetRegistry
from mpibatch.workspace.datastores import BUILT_IN, DatastoreRegistry
from mpibatch.workspace.home import find_home


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path, "models")


def test_versions_count_up_and_the_latest_is_the_default(catalogue: Catalogue) -> None:
    """What a program gets without a version, and with one."""
    catalogue.add("digits", {"n": 1}, tags={"a": "b"}, description="first")
    catalogue.add("digits", {"n": 2})
    assert catalogue.get("digits").data == {"n": 2}
    first = catalogue.get("digits", 1)
    assert (first.data, first.tags, first.description) == ({"n": 1}, {"a": "b"}, "first")
    assert [entry.version for entry in catalogue.all()] == [1, 2]


def test_an_unknown_name_lists_what_there_is_nearest_first(catalogue: Catalogue) -> None:
    """The message is the help that somebody with a typing error needs."""
    for name in ("alpha", "digits", "zebra"):
        catalogue.add(name, {})
    with pytest.raises(WorkspaceError, match=r"no model 'digit': there are digits, alpha, zebra"):
        catalogue.get("digit")
    with pytest.raises(WorkspaceError, match=r"'digits' has no version 7, only 1"):
        catalogue.get("digits", 7)


@pytest.mark.parametrize("name", ["", "..", ".", "../x", "a/b", "a\0b", "a\nb", "x" * 201, "a:1", 3, " a", "a "])
def test_hostile_names_are_refused(catalogue: Catalogue, name: object, tmp_path: Path) -> None:
    """A name is a folder's name: none may reach outside, or be what a reference cannot say."""
    with pytest.raises(WorkspaceError, match="is no name for models"):
        catalogue.add(name, {})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_what_fails_on_the_way_is_never_seen(catalogue: Catalogue) -> None:
    """A version appears whole or not at all."""

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        catalogue.add("digits", {}, fill=fail)
    assert catalogue.names() == []
    catalogue.files_of("digits", 1).mkdir()  # as a process that was killed leaves it
    assert catalogue.add("digits", {}).version == 2
    assert catalogue.versions("digits") == [2]


def test_a_number_is_not_used_twice(catalogue: Catalogue) -> None:
    """What a run record calls digits:2 stays that one for ever."""
    catalogue.add("digits", {})
    catalogue.add("digits", {})
    catalogue.remove("digits", 2)
    assert catalogue.versions("digits") == [1]
    assert catalogue.add("digits", {}).version == 3


def test_a_damaged_descriptor_is_named(catalogue: Catalogue) -> None:
    """Not a traceback: the file that is wrong."""
    catalogue.add("digits", {})
    (catalogue.folder / "digits" / "1.json").write_text("{")
    with pytest.raises(WorkspaceError, match=r"digits/1\.json is damaged"):
        catalogue.get("digits")


def test_a_workspace_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """Also for root, whom permissions do not stop."""
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match=r"cannot be written.*set MPIBATCH_HOME"):
        Catalogue(tmp_path / "file", "models").add("digits", {})


REGISTER = """
import sys
from pathlib import Path
from mpibatch.workspace.datasets import DatasetRegistry
from mpibatch.workspace.models import ModelRegistry
home, number = Path(sys.argv[1]), sys.argv[2]
for turn in range(3):
    ModelRegistry(home).register("shared", Path(sys.argv[3]), tags={"by": f"{number}.{turn}"})
    DatasetRegistry(home).register("rows", {"type": "files", "path": f"/{number}/{turn}"}, create_new_version=True)
"""


@pytest.mark.processes
def test_twenty_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each registration is a version of its own, with its own tags and files."""
    model = tmp_path / "model.bin"
    model.write_text("weights")
    home = tmp_path / "home"
    running = [
        subprocess.Popen([sys.executable, "-c", REGISTER, str(home), str(number), str(model)]) for number in range(20)
    ]
    assert [process.wait() for process in running] == [0] * 20
    wanted = {f"{number}.{turn}" for number in range(20) for turn in range(3)}
    models = Catalogue(home, "models")
    assert {entry.tags["by"] for entry in models.all()} == wanted
    assert models.versions("shared") == list(range(1, 61))
    assert all((models.files_of("shared", v) / "model.bin").read_text() == "weights" for v in range(1, 61))
    paths = {entry.data["path"] for entry in Catalogue(home, "datasets").all()}
    assert paths == {"/" + name.replace(".", "/") for name in wanted}


def test_references() -> None:
    """The ways in which YAML and Azure's files name a version."""
    assert parse_reference("digits") == ("digits", None)
    assert parse_reference("digits:3") == ("digits", 3)
    assert parse_reference("azureml:digits:3") == ("digits", 3)
    assert parse_reference("azureml:digits@latest") == parse_reference("digits:latest") == ("digits", None)
    with pytest.raises(WorkspaceError, match="'x' is no version"):
        parse_reference("digits:x")


def test_the_home_is_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MPIBATCH_HOME, then a .mpibatch upwards, then the user's."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert find_home({}, below) == tmp_path / "user" / ".mpibatch"
    (tmp_path / ".mpibatch").mkdir()
    assert find_home({}, below) == tmp_path / ".mpibatch"
    assert find_home({"MPIBATCH_HOME": "/x"}, below) == Path("/x")


def test_datasets_are_the_same_or_another_version(tmp_path: Path) -> None:
    """Registering again what is there is no new version; something else needs the user's word."""
    datasets = DatasetRegistry(tmp_path)
    assert datasets.register("rows", {"type": "files", "path": "/a"}).version == 1
    assert datasets.register("rows", {"type": "files", "path": "/a"}).version == 1
    with pytest.raises(WorkspaceError, match="create_new_version=True"):
        datasets.register("rows", {"type": "files", "path": "/b"})
    assert datasets.register("rows", {"type": "files", "path": "/b"}, create_new_version=True).version == 2
    assert datasets.resolve("rows:1").data["path"] == "/a"


def test_datastores(tmp_path: Path) -> None:
    """One is always there; another address under a name needs the user's word."""
    datastores = DatastoreRegistry(tmp_path / "home")
    assert datastores.default == BUILT_IN
    assert os.path.isdir(datastores.address(BUILT_IN))
    data = tmp_path / "data"
    data.mkdir()
    datastores.register("mnist", str(data))
    datastores.register("mnist", str(data))
    with pytest.raises(WorkspaceError, match="is there already"):
        datastores.register("mnist", "s3://bucket/x")
    datastores.register("mnist", "s3://bucket/x", overwrite=True)
    datastores.set_default("mnist")
    assert (datastores.default, datastores.address("mnist")) == ("mnist", "s3://bucket/x")
    with pytest.raises(WorkspaceError, match="no datastore 'mnis': there are mnist"):
        datastores.address("mnis")
    with pytest.raises(WorkspaceError, match="is no folder"):
        datastores.register("none", str(tmp_path / "none"))
