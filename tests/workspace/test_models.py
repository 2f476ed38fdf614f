"""Models: what is copied where, and archives that somebody else has packed."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mpibatch.errors import WorkspaceError
from mpibatch.workspace.models import ModelRegistry


@pytest.fixture
def models(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path / "home")


def test_a_file_a_folder_and_a_tar(models: ModelRegistry, tmp_path: Path) -> None:
    """Each is found again under its own name."""
    folder = tmp_path / "saved"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "w.bin").write_bytes(b"w")
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as archive:
        archive.add(folder, ".")
    models.register("m", folder / "deep" / "w.bin")
    models.register("m", folder)
    models.register("m", tmp_path / "packed.tar.gz")
    assert Path(models.resolve("m:1").path).name == "w.bin"
    assert Path(models.resolve("m:1").path).read_bytes() == b"w"
    assert (Path(models.resolve("m:2").path) / "deep" / "w.bin").read_bytes() == b"w"
    latest = models.resolve("m")
    assert (str(latest), Path(latest.path).name) == ("m:3", "packed")
    assert (Path(latest.path) / "deep" / "w.bin").read_bytes() == b"w"


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[tarfile.TarFile], None]:
    def add(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        archive.addfile(info, io.BytesIO())

    return add


@pytest.mark.parametrize(
    ("add", "reason"),
    [
        (member("/etc/evil"), "leads out"),
        (member("../evil"), "leads out"),
        (member("a/../../evil"), "leads out"),
        (member("link", tarfile.SYMTYPE, "/etc/passwd"), "outside the archive"),
        (member("a/link", tarfile.SYMTYPE, "../../evil"), "outside the archive"),
        (member("hard", tarfile.LNKTYPE, "../evil"), "outside the archive"),
        (member("device", tarfile.CHRTYPE), "device or a pipe"),
        (member("pipe", tarfile.FIFOTYPE), "device or a pipe"),
    ],
    ids=["absolute", "up", "up within", "link absolute", "link up", "hard link up", "device", "pipe"],
)
def test_hostile_archives_are_refused(
    models: ModelRegistry, tmp_path: Path, add: Callable[[tarfile.TarFile], None], reason: str
) -> None:
    """Nothing is unpacked and nothing registered; the message names the member."""
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member("good")(archive)
        add(archive)
    with pytest.raises(WorkspaceError, match=reason):
        models.register("m", tmp_path / "bad.tar")
    assert models.catalogue.names() == []
    assert not (tmp_path / "evil").exists()


def test_links_within_an_archive_stay(models: ModelRegistry, tmp_path: Path) -> None:
    """Saved models use them; they are no reason to refuse."""
    with tarfile.open(tmp_path / "ok.tar", "w") as archive:
        member("a/real")(archive)
        member("b/link", tarfile.SYMTYPE, "../a/real")(archive)
    models.register("m", tmp_path / "ok.tar")
    assert (Path(models.resolve("m").path) / "b" / "link").resolve().name == "real"


def test_a_broken_archive_and_a_missing_file_are_explained(models: ModelRegistry, tmp_path: Path) -> None:
    """No tracebacks for them."""
    (tmp_path / "cut.tar.gz").write_bytes(b"\x1f\x8bxx")
    with pytest.raises(WorkspaceError, match=r"cut\.tar\.gz cannot be unpacked"):
        models.register("m", tmp_path / "cut.tar.gz")
    with pytest.raises(WorkspaceError, match="there is no file or folder"):
        models.register("m", tmp_path / "nothing")
