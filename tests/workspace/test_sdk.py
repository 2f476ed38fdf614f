"""The classes of programs, used as notebooks written for Azure use them."""

import io
import json
import os
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from mpibatch.errors import InputError, JobFileError, WorkspaceError
from mpibatch.sdk.column_types import DataType, PromoteHeadersBehavior
from mpibatch.sdk.compute import AmlCompute, ComputeTarget, ComputeTargetException
from mpibatch.sdk.dataset import Dataset
from mpibatch.sdk.datastore import DataPath, Datastore
from mpibatch.sdk.environment import CondaDependencies, Environment, RunConfiguration
from mpibatch.sdk.model import Model
from mpibatch.sdk.run_target import LocalCompute, SlurmCompute
from mpibatch.sdk.workspace import Workspace


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MPIBATCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Workspace.from_config()


@pytest.fixture
def store(ws: Workspace, tmp_path: Path) -> Datastore:
    """A datastore with mnist/0.png to mnist/2.png, and two users' songs."""
    for name in ("mnist/0.png", "mnist/1.png", "mnist/2.png", "songs/ann/rock/a.wav", "songs/bob/pop/b.wav"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return Datastore.register(ws, "mnist_datastore", "data")


def test_the_workspace_has_the_name_of_the_nearest_config(ws: Workspace, tmp_path: Path) -> None:
    """None is no error, and a broken one says which file it is."""
    assert (ws.name, ws.subscription_id) == ("default", "")
    (tmp_path / "config.json").write_text('{"subscription_id": "s", "resource_group": "r", "workspace_name": "w"}')
    found = Workspace.from_config()
    assert (found.name, found.subscription_id, found.resource_group) == ("w", "s", "r")
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(WorkspaceError, match=r"config\.json cannot be read"):
        Workspace.from_config()


def test_azure_containers_are_places_declared_before(ws: Workspace, store: Datastore, tmp_path: Path) -> None:
    """The call of the tutorial keeps the folder; without one it says what to do, and overwrites nothing."""
    again = Datastore.register_azure_blob_container(
        ws, datastore_name="mnist_datastore", container_name="c", account_name="a", overwrite=True
    )
    assert again.address == str(tmp_path / "data")
    with pytest.raises(WorkspaceError, match="mpibatch datastores register other PATH"):
        Datastore.register_azure_blob_container(ws, "other", "c", "a")


def test_datastores_upload_and_download(ws: Workspace, store: Datastore, tmp_path: Path) -> None:
    """What is there stays unless told otherwise."""
    default = ws.get_default_datastore()
    assert default.name == "workspaceblobstore"
    default.upload(str(tmp_path / "data" / "mnist"), target_path="copies")
    assert (Path(default.address) / "copies" / "1.png").read_text() == "mnist/1.png"
    (tmp_path / "data" / "mnist" / "1.png").write_text("new")
    default.upload_files([str(tmp_path / "data" / "mnist" / "1.png")], target_path="copies")
    assert (Path(default.address) / "copies" / "1.png").read_text() == "mnist/1.png"
    default.upload_files([str(tmp_path / "data" / "mnist" / "1.png")], target_path="copies", overwrite=True)
    assert default.download(str(tmp_path / "back"), prefix="copies/1") == 1
    assert (tmp_path / "back" / "copies" / "1.png").read_text() == "new"


def test_file_datasets(ws: Workspace, store: Datastore, tmp_path: Path) -> None:
    """Each form of a path is the same files, and the plain data of an input."""
    folder = str(tmp_path / "data" / "mnist")
    for path in (store.path("mnist/"), (store, "mnist"), DataPath(store, "/mnist/"), "data/mnist", [folder]):
        dataset = Dataset.File.from_files(path=path)
        assert dataset.to_data() == {"type": "files", "path": folder}
    assert dataset.to_path() == ["/0.png", "/1.png", "/2.png"]
    assert Dataset.File.from_files((store, "mnist/0.png")).to_path() == ["/0.png"]
    assert dataset.take(2).to_data()["path"] == [f"{folder}/0.png", f"{folder}/1.png"]
    assert [Path(path).read_text() for path in dataset.download(str(tmp_path / "d"))][2] == "mnist/2.png"
    with pytest.raises(InputError, match="no such file"):
        Dataset.File.from_files((store, "none"))
    assert Dataset.File.from_files((store, "none"), validate=False).to_data()["path"].endswith("/none")


@pytest.mark.parametrize(
    ("path", "form", "expected"),
    [
        ("songs", "{user}/{genre}/*.wav", "songs/{user}/{genre}/*.wav"),
        ("songs/**", "/songs/{user}/{genre}/x.wav", "songs/{user}/{genre}/x.wav"),
        ("songs/*/*.wav", "{user}/{day:yyyy-MM-dd}.wav", "songs/{user}/{day}.wav"),
        ("songs", "{user}/{day:yyyy/MM/dd}/x.wav", "songs/{user}/{day:3}/x.wav"),
    ],
)
def test_partition_formats(store: Datastore, tmp_path: Path, path: str, form: str, expected: str) -> None:
    """The keys are in the path, as a job file has them."""
    dataset = Dataset.File.from_files((store, path), validate=False, partition_format=form)
    assert dataset.to_data()["path"] == str(tmp_path / "data" / expected)
    assert dataset.partition_keys == ["user", "day" if "day" in form else "genre"]


def test_tabular_datasets(ws: Workspace, store: Datastore, tmp_path: Path) -> None:
    """Read as a step reads them; registered, versions, partitioned."""
    (tmp_path / "a.csv").write_text("brand,price\nx,1\ny,2\nx,3\n")
    dataset = Dataset.Tabular.from_delimited_files("a.csv", set_column_types={"price": DataType.to_float()})
    frame = dataset.to_pandas_dataframe()
    assert frame["price"].tolist() == [1.0, 2.0, 3.0]
    assert frame["price"].dtype == "float64"
    assert dataset.take(2).to_pandas_dataframe()["brand"].tolist() == ["x", "y"]
    assert list(dataset.drop_columns("price").to_pandas_dataframe().columns) == ["brand"]
    plain = Dataset.Tabular.from_delimited_files("a.csv", header=PromoteHeadersBehavior.NO_HEADERS)
    assert len(plain.to_pandas_dataframe()) == 4
    first = dataset.register(ws, "sales data", tags={"k": "v"})
    assert (first.version, first.tags) == (1, {"k": "v"})
    with pytest.raises(WorkspaceError, match="create_new_version"):
        plain.register(ws, "sales data")
    assert plain.register(ws, "sales data", create_new_version=True).version == 2
    assert Dataset.get_by_name(ws, "sales data", version=1).to_data() == dataset.to_data()
    parts = dataset.partition_by(["brand"], target=(store, "parts"), name="by-brand")
    assert (parts.partition_keys, parts.version) == (["brand"], 1)
    assert sorted(parts.to_pandas_dataframe()["price"]) == [1.0, 2.0, 3.0]
    assert len(list((tmp_path / "data" / "parts").rglob("*.parquet"))) == 2
    assert Dataset.get_by_name(ws, "by-brand").partition_keys == ["brand"]
    kept = Dataset.Tabular.register_pandas_dataframe(pd.DataFrame({"a": [1]}), store, "frame")
    assert kept.to_pandas_dataframe()["a"].tolist() == [1]
    assert sorted(ws.datasets) == ["by-brand", "frame", "sales data"]
    with pytest.raises(WorkspaceError, match="there are by-brand, frame, sales data"):
        Dataset.get_by_name(ws, "none")


def test_paths_tell_columns_of_tables(store: Datastore, tmp_path: Path) -> None:
    """partition_format, include_path; and drop_columns, without reading anything."""
    for year in ("2023", "2024"):
        (tmp_path / "data" / "years" / year).mkdir(parents=True)
        (tmp_path / "data" / "years" / year / "a.csv").write_text(f"a,b\n1,{year}\n")
    table = Dataset.Tabular.from_delimited_files(
        (store, "years"), include_path=True, partition_format="{year}/a.csv", validate=False
    )
    frame = table.drop_columns("b").to_pandas_dataframe()
    assert frame.to_dict("list") == {
        "a": [1, 1],
        "year": ["2023", "2024"],
        "Path": [str(tmp_path / "data" / "years" / year / "a.csv") for year in ("2023", "2024")],
    }
    assert table.partition_keys == ["year"]
    kept = table.keep_columns(["a", "b"]).drop_columns(["a"])
    assert kept.to_data()["columns"] == ["b"]


def test_rows_that_are_chosen(ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """filter, random_split, take: to look at, and as an input of a step, for which they are written once."""
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{number},{number % 3}\n" for number in range(30)))
    table = Dataset.Tabular.from_delimited_files("a.csv")
    chosen = table.filter((table["x"] > 10) & ~(table["y"] == 0) | (table["x"] <= table["y"]))
    assert chosen.to_pandas_dataframe()["x"].tolist() == [0, 1, 2] + [x for x in range(11, 30) if x % 3]
    first, second = table.random_split(0.5, seed=1)
    both = [*first.to_pandas_dataframe()["x"], *second.to_pandas_dataframe()["x"]]
    assert sorted(both) == list(range(30))
    assert both != list(range(30))
    assert table.random_split(0.5, seed=1)[0].to_pandas_dataframe().equals(first.to_pandas_dataframe())
    data = first.take(2).to_data()
    assert data["type"] == "parquet"
    assert "are written to" in capsys.readouterr().err
    assert pd.read_parquet(data["path"])["x"].tolist() == first.to_pandas_dataframe()["x"].tolist()[:2]
    assert first.take(2).to_data() == data, "the same rows are the same file"
    with pytest.raises(WorkspaceError, match="no column 'z' to filter by"):
        table.filter(table["z"] == 1).to_pandas_dataframe()
    with pytest.raises(WorkspaceError, match="combine conditions with &"):
        table.filter(table["x"] > 1 and table["y"] > 1)
    with pytest.raises(WorkspaceError, match="from 0 to 1"):
        table.random_split(50)


def test_a_wrong_option_is_told_in_the_words_of_job_files(ws: Workspace, tmp_path: Path) -> None:
    """One check for YAML and programs."""
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(JobFileError, match="delimiter is"):
        Dataset.Tabular.from_delimited_files("a.csv", separator="ab")


def test_named_inputs(store: Datastore) -> None:
    """The forms that steps take."""
    dataset = Dataset.File.from_files((store, "mnist"))
    assert (dataset.as_named_input("a").as_mount().name, dataset.as_named_input("a").as_download().mode) == (
        "a",
        "download",
    )
    assert dataset.as_mount().as_named_input("b").name == "b"


def test_models(ws: Workspace, tmp_path: Path) -> None:
    """Registered with each form of tags; found by name, version, tags; downloaded."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "w").write_text("1")
    model = Model.register(model_path="models/", model_name="mnist", tags={"a": 1}, description="d", workspace=ws)
    assert (model.name, model.version, model.tags, model.description) == ("mnist", 1, {"a": "1"}, "d")
    Model.register(ws, "models/w", "mnist", tags=[["a", "2"], ["b", "x"]], properties={"p": "q"})
    assert Model.get_model_path("mnist") == Model(ws, "mnist").path
    assert Path(Model.get_model_path("mnist", version=1, _workspace=ws), "w").read_text() == "1"
    assert [found.version for found in Model.list(ws, "mnist", tags=[["a", "2"]])] == [2]
    assert [found.version for found in Model.list(ws, tags=["b"])] == [2]
    assert Model(ws, id="mnist:1").tags == {"a": "1"}
    assert Model(ws, "mnist", tags={"a": "1"}).version == 1
    assert [found.version for found in Model.list(ws, latest=True)] == [2]
    copy = Model(ws, "mnist", version="1").download(str(tmp_path / "to"))
    assert Path(copy, "w").read_text() == "1"
    with pytest.raises(WorkspaceError, match="exist_ok"):
        Model(ws, "mnist", version=1).download(str(tmp_path / "to"))
    with pytest.raises(WorkspaceError, match="there are mnist"):
        Model.get_model_path("mnits")


def test_a_packed_model_is_found_unpacked(ws: Workspace, tmp_path: Path) -> None:
    """A tar is what is in it."""
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("graph/meta")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    Model.register(ws, "m.tar.gz", "packed")
    assert Path(Model.get_model_path("packed"), "graph", "meta").read_text() == "x"


def test_compute_targets(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """The tutorial's idiom, and the other one with try."""
    assert "cpucluster" not in ws.compute_targets
    config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", min_nodes="0", max_nodes="4")
    target = ComputeTarget.create(ws, "cpucluster", config)
    target.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=20)
    assert type(target) is AmlCompute
    json.dumps(target.get_status().serialize())
    assert ws.compute_targets["cpucluster"].scale_settings.maximum_node_count == 4
    assert type(ComputeTarget(workspace=ws, name="cpucluster")) is AmlCompute
    with pytest.raises(ComputeTargetException):
        ComputeTarget(ws, "gpu")
    assert ws.compute_targets["gpu"].name == "gpu"
    assert "there is no compute target 'gpu'" in capsys.readouterr().err
    target.delete()
    assert "cpucluster" not in ws.compute_targets


def test_the_default_compute(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """MPIBATCH_COMPUTE, unless the program says otherwise."""
    assert ws.default_compute == LocalCompute()
    monkeypatch.setenv("MPIBATCH_COMPUTE", "slurm:nodes=2,partition=gpu")
    assert ws.default_compute == SlurmCompute(nodes=2, partition="gpu")
    monkeypatch.setenv("MPIBATCH_COMPUTE", "cloud")
    with pytest.raises(WorkspaceError, match="it must be local"):
        _ = ws.default_compute
    ws.default_compute = LocalCompute(3)
    assert ws.default_compute == LocalCompute(3)


def test_environments_are_records(ws: Workspace, tmp_path: Path) -> None:
    """Any attribute is taken; what is not used is said; variables become text."""
    environment = Environment(name="batch")
    packages = ["numpy==0.0.1", "azureml-core", "pandas"]
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=packages)
    environment.docker.enabled = True
    environment.docker.base_image = "image"
    environment.whatever.deep.er = 1
    environment.environment_variables = {"A": 1}
    assert environment.variables() == {"A": "1"}
    (image, different) = environment.notes()
    assert image == "docker image image"
    assert different.startswith("packages numpy==0.0.1 (here ")
    assert "pandas" not in different
    environment.register(ws)
    assert Environment.get(ws, "batch").variables() == {"A": "1"}
    assert list(ws.environments) == ["batch"]
    (tmp_path / "c.yml").write_text("dependencies: [python=3.8, {pip: [nosuchpackage==1]}]")
    notes = Environment.from_conda_specification("c", "c.yml").notes()
    assert notes == ["packages nosuchpackage==1 (not installed)"]
    run = RunConfiguration()
    run.environment = environment
    run.docker.use_docker = True
    assert not hasattr(run, "_private")
    assert os.path.exists(ws.home)
