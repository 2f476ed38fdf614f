"""Every kind of bad input that a user may give: a clear message, the right exit status, and nothing begun."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from tests.conftest import Job
from tests.processes import reading_as_others

pytestmark = pytest.mark.processes

ECHO = "def run(mini_batch): return names(mini_batch)"

# what is changed in parallel_run_config, and what must be said
SETTINGS: dict[str, tuple[dict[str, object], list[str]]] = {
    "misspelt key": ({"mini_batch_sise": 5}, ["mini_batch_sise", "mini_batch_size"]),
    "wrong type": ({"run_max_try": "often"}, ["run_max_try", "often"]),
    "negative": ({"run_invocation_timeout": -1}, ["run_invocation_timeout", "-1"]),
    "absurd": ({"node_count": 10**12}, ["node_count", "1000000000000"]),
    "bananas": ({"mini_batch_size": "5 bananas"}, ["mini_batch_size", "5 bananas"]),
    "script missing": ({"entry_script": "scorre.py"}, ["scorre.py", "score.py"]),
}
SCRIPTS = {
    "syntax error": ("def run(m: return m", ["score.py:7", "SyntaxError"]),
    "no run": ("def score(m): return m", ["no run"]),
}
DOCUMENTS = {
    "no YAML": ("name: [", ["job.yaml"]),
    "empty": ("", ["empty"]),
    "a list": ("- name: x\n", ["list"]),
    "binary": ("\x00\x01\x02", ["job.yaml"]),
}


ways = pytest.mark.parametrize(
    ("ranks", "by_mpirun"),
    [(1, False), pytest.param(2, False, marks=pytest.mark.ci), pytest.param(2, True, marks=pytest.mark.ci)],
    ids=["one rank", "two", "mpirun"],
)


def refused(job: Job, said: list[str], *options: str, ways: Iterable[tuple[int, bool]] = ((1, False),)) -> None:
    """With status 2, the words, no traceback, and no run directory. ways: ranks, and whether a user's mpirun starts
    them."""
    for ranks, by_mpirun in ways:
        done = job.run(*options, ranks=ranks, by_mpirun=by_mpirun)
        assert done.status == 2, done.said()
        assert all(word in done.stderr for word in said), done.said()
        assert "Traceback" not in done.stderr
        assert not done.run_dir.exists()


@ways
@pytest.mark.parametrize("what", SETTINGS)
def test_a_setting(what: str, ranks: int, by_mpirun: bool, job: Job) -> None:
    changes, said = SETTINGS[what]
    job.write(ECHO, 3, **changes)
    refused(job, said, ways=[(ranks, by_mpirun)])


@ways
@pytest.mark.parametrize("what", SCRIPTS)
def test_a_script(what: str, ranks: int, by_mpirun: bool, job: Job) -> None:
    script, said = SCRIPTS[what]
    job.write(script, 3)
    refused(job, said, ways=[(ranks, by_mpirun)])


@ways
@pytest.mark.parametrize("what", DOCUMENTS)
def test_a_job_file(what: str, ranks: int, by_mpirun: bool, job: Job) -> None:
    text, said = DOCUMENTS[what]
    job.write(ECHO, 3)
    (job.folder / "job.yaml").write_text(text)
    refused(job, said, ways=[(ranks, by_mpirun)])


@pytest.mark.ci
def test_a_job_file_that_is_not_there(job: Job) -> None:
    refused(job, ["job.yaml"], ways=[(1, False), (2, False), (2, True)])


def test_a_parameter_that_is_unknown(job: Job) -> None:
    job.write(ECHO, 3)
    refused(job, ["bach"], "--set", "bach=3")


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.ci)])
@pytest.mark.parametrize("path", ["nothing/here", "data/*.png", "data"])
def test_a_path_that_matches_nothing(path: str, ranks: int, job: Job) -> None:
    """A folder that is not there, a glob without a match, a folder without files."""
    job.write(ECHO, 0)
    document = yaml.safe_load((job.folder / "job.yaml").read_text())
    document["inputs"]["names"]["path"] = path
    (job.folder / "job.yaml").write_text(yaml.safe_dump(document))
    done = job.run(ranks=ranks)
    assert done.status == 2, done.said()
    assert path.rstrip("*.png") in done.stderr
    assert "Traceback" not in done.stderr


READING = """
def run(mini_batch, context):
    if context.minibatch_index == 0:
        {harm}
    return [Path(path).read_text() + name for path, name in zip(mini_batch, names(mini_batch))]
"""


@pytest.mark.ci
def test_a_file_that_disappears_after_planning(job: Job) -> None:
    harm = "os.unlink(os.path.join(os.path.dirname(mini_batch[0]), '0003'))"
    job.write(READING.format(harm=harm), 5, error_threshold=1, run_max_try=2)
    done = job.run(ranks=1)
    assert done.status == 0, done.said()
    assert done.rows == ["0000", "0001", "0002", "0004"]
    (line,) = done.failed
    assert line["item"].endswith("/data/0003")
    assert "is no longer there" in line["error"]
    assert "FileNotFoundError" in line["error"]


def test_a_file_that_cannot_be_read(job: Job) -> None:
    job.write(READING.format(harm="pass"), 5, error_threshold=1, run_max_try=1)
    (job.folder / "data" / "0003").chmod(0)
    run_dir = job.run_dir()
    command = job.command("run", job.folder / "job.yaml", "--run-dir", run_dir, ranks=1)
    done = job.finish(reading_as_others(command), run_dir)
    assert done.status == 0, done.said()
    (line,) = done.failed
    assert "cannot be read" in line["error"]


ODD = [
    b"a b",
    b"'single' \"double\"",
    b"new\nline",
    b"carriage\rreturn",
    b"\xff\xfe not UTF-8",
    b"\\n backslash",
    b"comma, semicolon; tab\t",
    "\u00e9 \u4e2d \U0001f600".encode(),
    b"-n",
    b"[glob]*?",
    b"$(touch pwned) `x` ${y}",
    b"x" * 255,
]


@pytest.mark.ci
@pytest.mark.parametrize("ranks", [1, 2])
def test_names_of_any_bytes(ranks: int, job: Job) -> None:
    """As items that succeed and as items that fail."""
    script = """
    def run(mini_batch, context):
        if context.minibatch_index % 2:
            raise ValueError(mini_batch[0])
        return [os.fsencode(name).hex() for name in names(mini_batch)]
    """
    job.write(script, 0, error_threshold=-1, run_max_try=1)
    folder = os.fsencode(job.folder / "data")
    for name in ODD:
        with open(os.path.join(folder, name), "xb"):
            pass
    done = job.run(ranks=ranks)
    assert done.status == 0, done.said()
    ordered = sorted(ODD)
    assert [bytes.fromhex(row) for row in done.rows] == ordered[::2]
    assert [os.fsencode(line["item"]) for line in done.failed] == [os.path.join(folder, name) for name in ordered[1::2]]


@pytest.mark.ci
@pytest.mark.parametrize("ranks", [1, 2])
def test_folders_of_any_bytes(ranks: int, job: Job) -> None:
    """The job's folder and the run directory below it."""
    names = [b"with space", b"quote'\"", b"new\nline", b"\xff", "\u00e9".encode(), b"$HOME", b"[a]"]
    inner = Path(os.fsdecode(os.path.join(os.fsencode(job.folder), *names)))
    inner.mkdir(parents=True)
    job.folder = inner
    job.write(ECHO, 3)
    done = job.run(ranks=ranks)
    assert done.status == 0, done.said()
    assert done.rows == ["0000", "0001", "0002"]
    assert done.summary["output"] == "outputs/parallel_run_step.txt"


@pytest.mark.parametrize("count", [50_000, pytest.param(1_000_000, marks=pytest.mark.ci)])
def test_many_files(job: Job, count: int) -> None:
    """By manifest: planned, run and written in seconds, with rank 0 small."""
    script = "def run(mini_batch): return [os.path.basename(path) for path in mini_batch]"
    job.write(script, 0, mini_batch_size=count // 200)
    with (job.folder / "manifest.txt").open("w") as manifest:
        manifest.writelines(f"{job.folder}/data/{number:07}\n" for number in range(count))
    document = yaml.safe_load((job.folder / "job.yaml").read_text())
    document["inputs"]["names"]["path"] = {"manifest": "manifest.txt"}
    (job.folder / "job.yaml").write_text(yaml.safe_dump(document))
    done = job.run(ranks=1)
    assert done.status == 0, done.said()
    assert done.output == b"".join(b"%07d\n" % number for number in range(count))


def test_processes_that_mpi_does_not_join_are_refused(job: Job) -> None:
    """MPICH's ranks under the mpirun of another MPI would each do all the work."""
    from tests.conftest import mpich_python, mpirun

    job.write(ECHO, 3)
    foreign = mpirun(job.python, 3)
    job.python = mpich_python()
    run_dir = job.run_dir()
    done = job.finish([*foreign, *job.command("run", job.folder / "job.yaml", "--run-dir", run_dir)], run_dir)
    assert done.status == 2, done.said()
    assert "started 3 processes" in done.stderr
    assert "do not belong together" in done.stderr
    assert not run_dir.exists()
