"""Whatever file is given as a job file, the answer is a sentence and never a traceback."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpibatch.config.document import drop_unusable, read_document
from mpibatch.config.problems import Problems
from mpibatch.errors import JobFileError
from tests.processes import as_others_read


def refused(path: Path, content: bytes | str) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(JobFileError) as caught:
        read_document(str(path))
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        ("# only a comment\n", "it is empty"),
        ("- a\n- b\n", "a list of 2"),
        ("just text", '"just text"; a job file is a mapping'),
        ("a: b: c\n", "not valid YAML: line 1, column 5"),
        ("a:\n\tb: 1\n", "spaces, not tabs"),
        ("a: 1\n---\nb: 1\n", "not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
        ("a: *nothing\n", "not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", 'line 3: the key "a" was already given on line 1'),
        ("a: {b: 1, b: 2}\n", 'line 1: the key "b" was already given on line 1'),
        ("a: 2024-13-45\n", "YAML cannot read"),
        ("a: !!bool x\n", "YAML cannot read"),
        ("? [a]\n: 1\n", "not valid YAML"),
        ("a: &x [*x]\n", "contains itself"),
        pytest.param("a: " + "[" * 5000, "nested too deeply", id="nested"),
        (b"\x89PNG\r\n\x1a\n\0\xff", "not text in UTF-8"),
        (b"name: \0", "binary file"),
        ("a: \x1b[31m\n", "YAML cannot read"),
    ],
)
def test_unusable_files(tmp_path: Path, content: bytes | str, message: str) -> None:
    assert message in refused(tmp_path / "job.yaml", content)


def test_all_keys_that_are_given_twice_are_told(tmp_path: Path) -> None:
    assert "2 problems" in refused(tmp_path / "job.yaml", "a: 1\na: 1\nb: {c: 1, c: 1}\n")


def test_aliases_cannot_blow_a_small_file_up(tmp_path: Path) -> None:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [" + ", ".join([f"*l{n - 1}"] * 9) + "]" for n in range(1, 12)]
    assert "aliases make it enormous" in refused(tmp_path / "job.yaml", "\n".join(lines))


def test_merge_keys_and_aliases_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("\ufeffbase: &b {x: 1, y: 2}\nother: {<<: *b, x: 3}\nsame: *b\n", encoding="utf-8")
    data = read_document(str(path))
    assert data["other"] == {"x": 3, "y": 2}
    assert data["same"] == data["base"]


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("name: x")
    with pytest.raises(JobFileError, match=r'no such file; in that folder there is "job.yaml"'):
        read_document(str(tmp_path / "jbo.yaml"))
    with pytest.raises(JobFileError, match="does not exist either"):
        read_document(str(tmp_path / "nowhere" / "job.yaml"))


def test_a_folder_points_to_the_job_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("name: x")
    with pytest.raises(JobFileError, match=r"it is a folder; give the job file: .*job\.yaml"):
        read_document(str(tmp_path))


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(JobFileError, match="not a regular file"):
        read_document(str(tmp_path / "pipe"))


def test_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("a: 1")
    (tmp_path / "job.yaml").chmod(0)
    with pytest.raises(JobFileError, match="cannot be read: Permission denied"):
        as_others_read(lambda: read_document(str(tmp_path / "job.yaml")))


@pytest.mark.parametrize("path", ["a\0b", pytest.param("x" * 5000, id="long"), "\ud800"])
def test_paths_that_no_file_can_have(path: str) -> None:
    with pytest.raises(JobFileError):
        read_document(path)


def test_keys_must_be_text_and_text_must_be_storable() -> None:
    problems = Problems()
    tree = drop_unusable({1: "a", "b": {True: 1, "c": "x\0"}, "d": ["\ud800"], "e\0": 1}, (), problems)
    assert tree == {"b": {"c": "x\0"}, "d": ["\ud800"]}
    assert len(problems.messages) == 5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="ab:- \n\t[]{}&*!|>%@`'\"#?,0x_.1", max_size=60).map(str.encode) | st.binary(max_size=60))
def test_no_content_makes_it_raise_anything_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "job.yaml").write_bytes(content)
    with contextlib.suppress(JobFileError):
        read_document(str(tmp_path / "job.yaml"))
