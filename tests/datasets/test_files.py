"""Files: every form of a path, the order, odd names, and what is said when nothing is there."""

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.config.choices import InputType
from mpibatch.config.schema import Input
from mpibatch.config.values import Size, Unit
from mpibatch.datasets import open_dataset
from mpibatch.datasets.base import Dataset
from mpibatch.datasets.paths import normalized
from mpibatch.errors import InputError


def dataset(*paths: Path | str, count: int = 10, manifest: Path | None = None) -> Dataset:
    spec = Input("x", InputType.FILES, tuple(map(str, paths)), manifest=str(manifest) if manifest else None)
    return open_dataset(spec, Size(count, Unit.ITEMS))


def found(*paths: Path | str, manifest: Path | None = None) -> list[str]:
    """All files of an input, planned by one dataset object and loaded by another, as executors do."""
    splits = list(dataset(*paths, manifest=manifest).plan(map))
    loader = dataset(*paths, manifest=manifest)
    loaded = [loader.load(split.payload) for split in splits]
    assert [split.items for split in splits] == [batch.items for batch in loaded]
    return [path for batch in loaded for path in batch.value]


def make(folder: Path, *names: str) -> list[str]:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return [str(folder / name) for name in names]


def test_folder_is_all_files_below_in_bytewise_order(tmp_path: Path) -> None:
    """`a.txt` sorts before `a/x` and `a-` before both: whole paths are compared, not name by name."""
    expected = make(tmp_path, ".hidden", "A", "a-", "a.txt", "a/x", "a/y/z", "a0", "\u00e9")
    assert found(tmp_path) == expected
    assert found(f"{tmp_path}/") == expected


def test_glob_forms(tmp_path: Path) -> None:
    """Each wildcard, once where it matches and once where it must not."""
    make(tmp_path, "a.png", "b.png", "c.jpg", ".d.png", "s/e.png", "s/t/f.png", ".h/g.png", "s/t/u/k.png")

    def names(pattern: str) -> list[str]:
        return [os.path.relpath(path, tmp_path) for path in found(tmp_path / pattern)]

    assert names("*.png") == ["a.png", "b.png"]
    assert names("**/*.png") == ["a.png", "b.png", "s/e.png", "s/t/f.png", "s/t/u/k.png"]
    assert names("**") == ["a.png", "b.png", "c.jpg", "s/e.png", "s/t/f.png", "s/t/u/k.png"]
    assert names("s/**/t/**/*.png") == ["s/t/f.png", "s/t/u/k.png"]
    assert names("?.[jp]*g") == ["a.png", "b.png", "c.jpg"]
    assert names("[!a].png") == ["b.png"]
    assert names(".*") == [".d.png"]
    assert names("*/*.png") == ["s/e.png"]
    assert names("{key}.png") == ["a.png", "b.png"]


def test_a_path_that_exists_is_no_glob(tmp_path: Path) -> None:
    """A file named `x[1].png` is found by its own name."""
    expected = make(tmp_path, "x[1].png", "d*/y")
    make(tmp_path, "x1.png", "dd/z")
    assert found(tmp_path / "x[1].png", tmp_path / "d*") == expected


def test_list_keeps_its_order_and_repeats(tmp_path: Path) -> None:
    a, b, c = make(tmp_path, "one/a", "two/b", "two/c")
    assert found(tmp_path / "two", a, tmp_path / "two" / "*") == [b, c, a, b, c]


def test_one_file(tmp_path: Path) -> None:
    """Its payload cannot be relative to itself."""
    (file,) = make(tmp_path, "only.txt")
    assert found(file) == [file]


def test_odd_names_come_through(tmp_path: Path) -> None:
    """Spaces, quotes, newlines and bytes that are no UTF-8: opened by the name that `run` gets."""
    names = [b"a b", b"new\nline", b"q'u\"o", b"\xff\xfe.png", b"tab\t"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(name)
    for path in found(tmp_path):
        assert Path(path).read_bytes() == os.fsencode(os.path.basename(path))
    assert len(found(tmp_path)) == len(names)


@given(
    st.sets(st.binary(min_size=1, max_size=6).filter(lambda name: name != b"." and not set(name) & {0, 47}), min_size=1)
)
def test_manifest_of_any_names(tmp_path_factory: pytest.TempPathFactory, names: set[bytes]) -> None:
    """A NUL-separated manifest holds any name there can be, in its own order."""
    manifest = tmp_path_factory.mktemp("manifest") / "paths.nul"
    manifest.write_bytes(b"\0".join(names))
    folder = os.fsencode(manifest.parent)
    assert [os.fsencode(path) for path in found(manifest=manifest)] == [folder + b"/" + name for name in names]


def test_manifest_lines(tmp_path: Path) -> None:
    """Relative to the manifest's folder, absolute ones kept, blank lines dropped, order and repeats kept."""
    manifest = tmp_path / "paths.txt"
    manifest.write_bytes(b"\xef\xbb\xbfb.png\r\n\n/abs/c.png\na\xff.png\nb.png")
    folder = str(tmp_path)
    expected = [f"{folder}/b.png", "/abs/c.png", f"{folder}/a\udcff.png", f"{folder}/b.png"]
    assert found(manifest=manifest) == expected
    manifest.write_bytes(b"a\nb\0c\0")
    assert found(manifest=manifest) == [f"{folder}/a\nb", f"{folder}/c"]


@given(st.lists(st.text("/.a", min_size=1, max_size=7), min_size=1))
def test_manifest_paths_are_normalized(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    """Whatever slashes and dots they hold, though most are taken as they are written."""
    manifest = tmp_path_factory.mktemp("manifest") / "paths.txt"
    manifest.write_text("".join(f"{name}\n" for name in names))
    assert found(manifest=manifest) == [
        normalized(f"{manifest.parent}/{name}" if name[0] != "/" else name) for name in names
    ]


def test_slashes_that_mean_nothing(tmp_path: Path) -> None:
    """`//` and `.` in a manifest, in a path and in a pattern with keys: the very files, never those of another root."""
    make(tmp_path, "u1/a.txt", "u2/a.txt")
    manifest = tmp_path / "paths.txt"
    manifest.write_text(f"{tmp_path}//u1/a.txt\n./u2/./a.txt\n.\n/{tmp_path}/u1//a.txt\n")
    expected = [f"{tmp_path}/u1/a.txt", f"{tmp_path}/u2/a.txt", str(tmp_path), f"{tmp_path}/u1/a.txt"]
    assert found(manifest=manifest) == expected
    spec = Input("given", InputType.FILES, (f"/{tmp_path}/{{user}}/*.txt",))
    dataset = open_dataset(spec, None, ("user",))
    payloads = [split.payload for split in dataset.plan(map)]
    assert [dataset.load(payload).value for payload in payloads] == [expected[:1], expected[1:2]]


@pytest.mark.parametrize("pattern", ["missing", "missing/*.png", "empty", "empty/*", "deep/no/where/**"])
def test_nothing_there(tmp_path: Path, pattern: str) -> None:
    """The message names the input, the path and the nearest folder that exists."""
    (tmp_path / "empty").mkdir()
    path = str(tmp_path / pattern)
    with pytest.raises(InputError) as caught:
        found(path)
    message = str(caught.value)
    assert "input 'x'" in message
    assert repr(path) in message
    assert "relative to the job file" in message
    assert pattern == "empty" or repr(str(tmp_path / "empty" if pattern == "empty/*" else tmp_path)) in message


def test_manifest_that_lists_nothing(tmp_path: Path) -> None:
    manifest = tmp_path / "paths.txt"
    with pytest.raises(InputError, match="cannot be read"):
        found(manifest=manifest)
    manifest.write_bytes(b"\n\r\n")
    with pytest.raises(InputError, match="lists no paths"):
        found(manifest=manifest)


def test_links(tmp_path: Path) -> None:
    """Loops end, linked folders are followed, a link that leads nowhere is an item, a pipe is none."""
    make(tmp_path, "real/a", "other/b")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "linked").symlink_to(tmp_path / "other")
    (tmp_path / "real" / "broken").symlink_to("nowhere")
    (tmp_path / "real" / "self").symlink_to("self")
    os.mkfifo(tmp_path / "real" / "pipe")
    names = [os.path.relpath(path, tmp_path / "real") for path in found(tmp_path / "real")]
    assert names == ["a", "broken", "linked/b", "self"]


def test_mini_batches_and_their_parts(tmp_path: Path) -> None:
    """The default is ten files; the last may be short; parts and failed items name the right files."""
    paths = make(tmp_path, *(f"{number:02}" for number in range(23)))
    data = open_dataset(Input("x", InputType.FILES, (str(tmp_path),)), None)
    splits = list(data.plan(map))
    assert [split.items for split in splits] == [10, 10, 3]
    assert data.load(splits[1].payload).slice(3, 5).value == paths[13:15]
    assert [item.item for item in data.failed_items(splits[2].payload, [0, 2], 3)] == [paths[20], paths[22]]
    assert [item.item for item in data.failed_items(splits[2].payload, None, 3)] == paths[20:]
    assert data.count_items(splits[2].payload) == 3


def test_nothing_is_asked_of_files_that_were_not_there_when_planned(tmp_path: Path) -> None:
    (tmp_path / "names").write_text(f"{tmp_path}/later\n")
    reader = dataset(manifest=tmp_path / "names")
    (split,) = reader.plan(map)
    (tmp_path / "later").write_text("it has come")
    with mock.patch("mpibatch.datasets.file_identity.os.stat", side_effect=AssertionError):
        assert reader.load(split.payload).value == [f"{tmp_path}/later"]


@pytest.mark.parametrize("count", [1, 7, 512, 1000, 5000])
def test_only_the_last_mini_batch_is_short(tmp_path: Path, count: int) -> None:
    """However many files are asked for their size at once, on whichever rank."""
    names = [f"/data/{number}" for number in range(2050)]
    manifest = tmp_path / "names.txt"
    manifest.write_text("\n".join(names))
    data = dataset(manifest=manifest, count=count)
    splits = list(data.plan(map))
    full, rest = divmod(len(names), count)
    assert [split.items for split in splits] == [count] * full + [rest] * (rest > 0)
    assert [path for split in splits for path in data.load(split.payload).value] == names


def test_unlistable_folder(tmp_path: Path) -> None:
    """A folder that vanishes or is forbidden is an error, never a silent gap."""
    from mpibatch.datasets import paths

    with pytest.raises(InputError, match="cannot be listed"):
        list(paths._walk(Input("x", InputType.FILES), os.fsencode(tmp_path / "gone"), paths._AllFiles()))


def test_imports_stay_light() -> None:
    """A files job imports no pandas, NumPy or pyarrow: a thousand ranks start at once."""
    code = (
        "import sys, mpibatch.datasets.files, mpibatch.output\n"
        "from mpibatch.config.schema import RowFormat\n"
        "mpibatch.output.open_encoder('a.txt', RowFormat()).encode(['x'])\n"
        "mpibatch.output.open_encoder('a.csv', RowFormat()).encode(['x', 'y,z'])\n"
        "print([m for m in ('pandas', 'numpy', 'pyarrow', 'fsspec') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
