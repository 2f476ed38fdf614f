"""The kernel's limit behind memory_per_process: on made-up file systems of either version, and on this machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpibatch.attempts import AttemptOutcome
from mpibatch.worker import cgroup as cgroups
from mpibatch.worker import memory
from mpibatch.worker.cgroup import (
    Delegation,
    KernelKill,
    find_delegation,
    make_cgroup,
    remove_stale,
    room_for_cgroups,
)
from mpibatch.worker.messages import StartFailed
from tests.worker.sandboxed_executor import SandboxedExecutor

MEGABYTE = 1 << 20
FILES = {
    1: ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control", "memory.max_usage_in_bytes"],
    2: ["memory.max", "memory.swap.max", "memory.oom.group", "memory.events", "memory.peak"],
}


class Kernel:
    """A file system with the mounts and cgroups of one process, as `find_delegation` takes it."""

    def __init__(self, root: Path, version: int, own: str, mounted: str = "/") -> None:
        self.root, self.version = root, version
        self.top = root / ("sys/fs/cgroup" if version == 2 else "sys/fs/cgroup/memory")
        kind = "cgroup2 cgroup2 rw" if version == 2 else "cgroup cgroup rw,memory"
        mount = f"31 23 0:28 {mounted} /{self.top.relative_to(root)} rw,relatime shared:9 - {kind}\n"
        self.write("proc/self/mountinfo", "23 1 0:5 / /proc rw - proc proc rw\n" + mount)
        self.belongs_to(own)

    def belongs_to(self, own: str) -> None:
        line = f"0::{own}" if self.version == 2 else f"4:memory:{own}\n3:cpu,cpuacct:/\n1:name=systemd:/\n0::/"
        self.write("proc/self/cgroup", line + "\n")

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def cgroup(self, path: str, **files: str) -> Path:
        """One that is there; subtree_control is of cgroup.subtree_control."""
        folder = self.top / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {"procs": "", **files}.items():
            (folder / f"cgroup.{name}").write_text(text)
        return folder


@pytest.fixture
def files_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new folder has its files at once, and goes with them."""

    mkdir = Path.mkdir

    def with_files(folder: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        mkdir(folder, mode, parents, exist_ok)
        for name in [*FILES[1], *FILES[2], "cgroup.procs"] if folder.name.startswith("mpibatch-") else ():
            (folder / name).write_text("")

    monkeypatch.setattr(Path, "mkdir", with_files)
    monkeypatch.setattr(Path, "rmdir", shutil.rmtree)


# -- where cgroups can be made


@pytest.mark.parametrize(("own", "mounted"), [("/job/step", "/"), ("/docker/x/job/step", "/docker/x")])
def test_version_1_is_found(own: str, mounted: str, tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, 1, own, mounted)
    folder = kernel.cgroup("job/step")
    assert find_delegation(tmp_path) == Delegation(1, folder)


def test_a_hierarchy_that_would_let_executors_escape_is_left(tmp_path: Path) -> None:
    """Before Linux 5.11 what is below a cgroup may be free of its limit."""
    kernel = Kernel(tmp_path, 1, "/job")
    (kernel.cgroup("job") / "memory.use_hierarchy").write_text("0\n")
    found = find_delegation(tmp_path)
    assert found.parent is None
    assert "memory.use_hierarchy is 0" in found.why


@pytest.mark.parametrize(
    ("controllers", "enabled", "processes", "why"),
    [
        ("cpu", "", "", "has no memory controller"),
        ("cpu memory", "", "1\n{pid}\n", "has other processes too"),
        ("cpu memory", "", "{pid}\n", ""),
        ("cpu memory", "memory", "", ""),
    ],
)
def test_version_2(controllers: str, enabled: str, processes: str, why: str, tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, 2, "/user/scope")
    procs = processes.format(pid=os.getpid())
    folder = kernel.cgroup("user/scope", controllers=controllers, subtree_control=enabled, procs=procs)
    found = find_delegation(tmp_path)
    assert why in found.why
    assert (found.version, found.parent) == (2, None if why else folder)
    assert found.room == (not why and not enabled)


def test_what_a_script_starts_does_not_leave_the_cgroup_of_its_executor(tmp_path: Path) -> None:
    """Version 2: a run within a run finds processes in its own cgroup, and looks no further up."""
    kernel = Kernel(tmp_path, 2, f"/scope/mpibatch-{os.getpid()}-0")
    kernel.cgroup("scope", controllers="memory", subtree_control="memory")
    kernel.cgroup(f"scope/mpibatch-{os.getpid()}-0", controllers="memory", subtree_control="", procs="1\n2\n")
    assert find_delegation(tmp_path).parent is None


def test_what_is_not_ours_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(tmp_path, 2, "/user/task_0")
    kernel.cgroup("user/task_0", controllers="memory", subtree_control="")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "is not ours to write to" in find_delegation(tmp_path).why


@pytest.mark.parametrize("own", ["/../other", "/elsewhere"])
def test_a_cgroup_that_is_not_mounted_here(own: str, tmp_path: Path) -> None:
    Kernel(tmp_path, 2, own, mounted="/docker/x")
    assert find_delegation(tmp_path) == Delegation(0, why="no cgroup that limits memory is mounted here")


def test_nothing_is_known_without_proc(tmp_path: Path) -> None:
    assert find_delegation(tmp_path).parent is None


@pytest.mark.usefixtures("files_of_the_kernel")
def test_the_launcher_makes_room_and_leaves_all_as_it_was(tmp_path: Path) -> None:
    """Version 2: its ranks, in the cgroup below, find the one above ready; in the end it is as before."""
    kernel = Kernel(tmp_path, 2, "/scope")
    parent = kernel.cgroup("scope", controllers="memory", subtree_control="", procs=f"{os.getpid()}\n")
    with room_for_cgroups(find_delegation(tmp_path)):
        (leaf,) = (path for path in parent.iterdir() if path.is_dir())
        assert (leaf / "cgroup.procs").read_text() == str(os.getpid())
        assert (parent / "cgroup.subtree_control").read_text() == "+memory"
        kernel.belongs_to(f"/scope/{leaf.name}")
        kernel.cgroup("scope", controllers="memory", subtree_control="memory")
        found = find_delegation(tmp_path)
        assert found == Delegation(2, parent)
        assert make_cgroup(found, 100 * MEGABYTE) is not None
    assert (parent / "cgroup.subtree_control").read_text().startswith("-memory")
    assert (parent / "cgroup.procs").read_text() == str(os.getpid())
    assert not leaf.exists()


def test_a_launcher_that_cannot_make_room_goes_back(tmp_path: Path) -> None:
    """Here the new cgroup has no file to enter it by."""
    parent = Kernel(tmp_path, 2, "/scope").cgroup("scope")
    with room_for_cgroups(Delegation(2, parent, room=True)):
        pass
    with pytest.raises(OSError, match="of the caller"), room_for_cgroups(Delegation(2, parent, room=True)):
        raise OSError("of the caller")
    with room_for_cgroups(None), room_for_cgroups(Delegation(1, parent)):
        assert [path for path in parent.iterdir() if path.is_dir()] == []


# -- one cgroup


@pytest.mark.usefixtures("files_of_the_kernel")
@pytest.mark.parametrize("version", [1, 2])
def test_limits_and_what_the_kernel_says(version: int, tmp_path: Path) -> None:
    made = make_cgroup(Delegation(version, tmp_path), 16 << 30)
    assert made is not None
    assert made.folder.name.startswith(f"mpibatch-{os.getpid()}-")
    ceiling = str(int((16 << 30) * 1.05))
    values = [(made.folder / name).read_text() for name in FILES[version]]
    assert values[:3] == ([ceiling, ceiling, ""] if version == 1 else [ceiling, "0", "1"])
    assert made.kernel_kill() is None
    made.oom_kills.write_text("oom 3\noom_kill 0\noom_group_kill 0\n")
    assert made.kernel_kill() is None
    made.oom_kills.write_text("oom 3\noom_kill 2\noom_group_kill 1\n")
    (made.folder / FILES[version][-1]).write_text(f"{ceiling}\n")
    assert made.kernel_kill() == KernelKill(int(ceiling), int(ceiling), 16 << 30)
    made.remove()
    made.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("files_of_the_kernel")
def test_a_small_limit_has_room_for_one_look(tmp_path: Path) -> None:
    made = make_cgroup(Delegation(2, tmp_path), 100 * MEGABYTE)
    assert made is not None
    assert (made.folder / "memory.max").read_text() == str(164 * MEGABYTE)


def test_where_none_can_be_made_there_is_none(tmp_path: Path) -> None:
    """The folder can be made, but is no cgroup: without limits it is not kept."""
    assert make_cgroup(Delegation(2, tmp_path), MEGABYTE) is None
    assert make_cgroup(Delegation(2, tmp_path / "gone"), MEGABYTE) is None
    assert make_cgroup(Delegation(2, why="no"), MEGABYTE) is None
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_busy_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "REMOVE_SECONDS", 0.02)
    for name in FILES[2]:
        (tmp_path / name).touch()
    cgroups.ExecutorCgroup(tmp_path, 2, MEGABYTE).remove()
    assert tmp_path.exists()


def test_what_killed_ranks_left_is_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stale = [f"mpibatch-{ended.pid}-0", f"mpibatch-{ended.pid}-ranks"]
    others = [f"mpibatch-{os.getpid()}-0", "mpibatch-of-somebody", "task_0"]
    for name in [*stale, *others]:
        (tmp_path / name).mkdir()
    remove_stale(Delegation(1, tmp_path))
    remove_stale(Delegation(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def test_messages() -> None:
    """Both say how much there was, why it ended, and what helps."""
    own = str(KernelKill(315 * MEGABYTE, 314 * MEGABYTE, 250 * MEGABYTE))
    assert own.startswith("used 315MB of memory with all that it has started, more than memory_per_process: 250MB")
    assert "at the limit of its cgroup, 314MB" in own
    assert str(KernelKill(0, 314 * MEGABYTE, 250 * MEGABYTE)).startswith("used 314MB")
    machine = str(KernelKill(90 * MEGABYTE, 314 * MEGABYTE, 250 * MEGABYTE))
    assert machine.startswith("used 90MB of memory, no more than memory_per_process: 250MB")
    assert "the machine, or the allocation of the job, had no more" in machine


# -- on this machine

FILL = "b'x' * (3 << 30)"  # most of it between two looks of the monitor

SCRIPT = f"""
FILL = {FILL!r}
CHILD = [sys.executable, "-c", FILL]

def own():
    line = next(line for line in open("/proc/self/cgroup") if "mpibatch-" in line)
    return line.rpartition("/")[2].strip()

def init():
    with open("cgroups.txt", "a") as file:
        print(own(), file=file)

def run(mini_batch):
    if names(mini_batch) == ["bad"]:
        {{fault}}
    return names(mini_batch)
"""

FAST = {
    "itself": "eval(FILL)",
    "a child whose end is overlooked": "subprocess.run(CHILD)",
    "a child whose end is an error": "subprocess.run(CHILD, check=True)",
    "a daemon": "subprocess.Popen(CHILD, start_new_session=True); time.sleep(1000)",
    "a file in memory": "os.truncate(f := os.memfd_create('x'), 3 << 30); os.posix_fallocate(f, 0, 3 << 30)",
}


@pytest.fixture
def real() -> Iterator[Path]:
    """The cgroup of this process; in the end there are as many below it as before. Skips where none can be made."""
    delegation = find_delegation()
    made = make_cgroup(delegation, 100 * MEGABYTE)
    if made is None or delegation.parent is None:
        pytest.skip(f"no cgroup can be made here: {delegation.why}")
    made.remove()
    own = f"mpibatch-{os.getpid()}-*"
    assert not list(delegation.parent.glob(own))
    yield delegation.parent
    assert not list(delegation.parent.glob(own)), "executors' cgroups go with them"


@pytest.mark.processes
@pytest.mark.parametrize("what", FAST)
def test_what_grows_at_once_is_ended_by_the_kernel(what: str, real: Path, tmp_path: Path) -> None:
    """The mini-batch is charged, with the figures, whatever the script made of it; its neighbours have their rows."""
    with SandboxedExecutor(tmp_path, SCRIPT.format(fault=FAST[what]), memory_per_process="250MB") as sandbox:
        sandbox.run(["a"], ["bad"], ["b"], packet_size=3)
        good, bad, other = sandbox.ended(3)
        assert (good.rows, other.rows) == ("a\n", "b\n")
        assert (bad.cause, bad.succeeded, bad.rows) == (AttemptOutcome.OUT_OF_MEMORY, 0, "")
        error = bad.failures[0].error
        assert "the executor of rank 0 on here, in run() of mini-batch 1, used" in error
        assert "more than memory_per_process: 250MB, and was ended" in error
        assert 250 * MEGABYTE < bad.memory < 350 * MEGABYTE, "314MB, and libraries that others had loaded before"
        assert not sandbox.of(StartFailed)
        first, second = sandbox.note("cgroups.txt")
        assert first.startswith(f"mpibatch-{os.getpid()}-")
        assert second != first
        assert (real / second).is_dir()
        assert not (real / first).exists()


@pytest.mark.processes
@pytest.mark.parametrize("what", [what for what in FAST if what != "a daemon"])
@pytest.mark.usefixtures("real")
def test_figures_of_the_kernel(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a monitor that never looks: the executor ends by itself, and never had more than the limit of its cgroup."""
    monkeypatch.setattr(memory, "WATCHED_SECONDS", 1000.0)
    with SandboxedExecutor(tmp_path, SCRIPT.format(fault=FAST[what]), memory_per_process="250MB") as sandbox:
        sandbox.run(["a"], ["bad"], ["b"], packet_size=3)
        good, bad, other = sandbox.ended(3)
        assert (good.rows, bad.rows, other.rows) == ("a\n", "", "b\n")
        assert bad.cause == AttemptOutcome.OUT_OF_MEMORY
        assert 300 * MEGABYTE < bad.memory <= 314 * MEGABYTE
        error = bad.failures[0].error
        assert "of memory with all that it has started, more than memory_per_process: 250MB, and was ended by" in error
        assert "the kernel at the limit of its cgroup, 314MB" in error


@pytest.mark.processes
@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("fill", ["eval(FILL)", "subprocess.run(CHILD)", "subprocess.run(CHILD, check=True)"])
def test_init_that_grows_at_once(fill: str, tmp_path: Path) -> None:
    script = SCRIPT.format(fault="pass").replace("def init():", f"def init():\n    {fill}")
    with SandboxedExecutor(tmp_path, script, memory_per_process="250MB") as sandbox:
        (failed, *_) = sandbox.until(lambda: sandbox.of(StartFailed))
        assert "more than memory_per_process: 250MB, and was ended" in failed.failure.error


@pytest.mark.processes
def test_without_a_limit_there_is_no_cgroup(real: Path, tmp_path: Path) -> None:
    with SandboxedExecutor(tmp_path, "def run(mini_batch):\n    return names(mini_batch)") as sandbox:
        sandbox.run(["a"])
        assert [attempt.rows for attempt in sandbox.ended(1)] == ["a\n"]
        assert not list(real.glob(f"mpibatch-{os.getpid()}-*"))
