"""A real Slurm of three nodes on one machine, for tests; nothing of it outlives the test session.

    this machine
     `- ctl     munged, slurmctld, a bridge; srun and sbatch are run here, by `Cluster.run`
         |- n1  slurmd, 2 CPUs, 2 mock GPUs; a cable to the bridge
         |- n2
         `- n3

Each box is a set of namespaces (PID, network, mount, IPC, UTS): own host name, address, processes, /dev/shm
and, the nodes, /tmp; the cluster has a /run of its own, with munge's socket. All other folders are shared, as on
a cluster; `Cluster.folder` is sure to be. Network and processes of the real machine are not touched, so several
clusters can be up at once, and each ends by ending one process (cluster.sh says how). Needs root and Debian's
slurm-wlm, munge, libpmix2, libpmix-dev (Slurm's pmix plugin opens the unversioned libpmix.so) and iproute2.
"""

import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
FOLDERS = Path("/var/tmp")  # on disk, and no machine mounts anything of its own over it
PREFIX = "mpibatch-cluster-"
NET = "10.77.0"
PROGRAMS = ("slurmctld", "slurmd", "srun", "sbatch", "munged", "ip", "unshare", "nsenter")
FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"})

SLURM_CONF = """\
ClusterName=mini
SlurmctldHost=ctl({net}.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# cred_expire is also how long a requeued job waits; 120 s unless set
AuthInfo=cred_expire=5
MpiDefault={mpi_default}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
SlurmdTimeout=10
KillWait=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
AccountingStorageType=accounting_storage/none
GresTypes=gpu
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
# per node: the pmix plugin makes a folder there that is named by the step alone
TmpFS={folder}/tmp.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
"""


def missing() -> str | None:
    """Why no cluster can be brought up here, or None."""
    if os.geteuid() != 0:
        return "a Slurm cluster for tests needs root"
    programs = [program for program in PROGRAMS if shutil.which(program) is None]
    if programs:
        return f"a Slurm cluster for tests needs {', '.join(programs)} (slurm-wlm, munge, iproute2)"
    probe = ["unshare", "--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    answer = subprocess.run(probe, capture_output=True, text=True, check=False)
    return None if answer.returncode == 0 else f"no namespaces here: {answer.stderr.strip()}"


def wait_until(what: str, holds: Callable[[], bool], timeout: float = 30.0) -> None:
    """Looks ten times a second; raises TimeoutError that names `what`."""
    end = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        time.sleep(0.1)


class Cluster:
    """`up()`, then commands on its login machine, accidents to its nodes, and `down()`.

    mpi_default: how srun starts MPI ranks unless it is told; most sites have pmix
    env:         the environment of every command; a test adds what it needs through `env=` of a call
    folder:      a folder that all nodes see
    """

    def __init__(self, nodes: int = 3, mpi_default: str = "pmix") -> None:
        self._mpi_default = mpi_default
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.folder = FOLDERS / f"{PREFIX}{os.getpid()}-{secrets.token_hex(2)}"
        foreign = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "OMPI_", "PMIX_", "PMI_", "PRTE_")
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        self.env |= {"SLURM_CONF": str(self.folder / "slurm.conf"), "PYTHONPATH": str(REPOSITORY)}
        self._machine: subprocess.Popen[str] | None = None
        self._crashed: set[str] = set()

    def up(self) -> None:
        _sweep()
        try:
            self._write_configuration()
            with open(self.folder / "machine.log", "w") as log:
                self._machine = subprocess.Popen(
                    [str(HERE / "cluster.sh"), "machine", str(self.folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=self.env,
                    start_new_session=True,  # Ctrl-C is for pytest, which then takes the cluster down
                )
            assert self._machine.stdout is not None
            if self._machine.stdout.readline() != "ready\n":
                raise RuntimeError("the controller did not start")
            for node in self.nodes:
                self._boot(node)
            self._wait_idle()
        except BaseException as error:
            error.add_note(self.logs())
            self.down()
            raise

    def down(self) -> None:
        if self._machine is not None:
            assert self._machine.stdin is not None
            assert self._machine.stdout is not None
            with suppress(BrokenPipeError):  # it is dead already
                self._machine.stdin.close()
            try:
                self._machine.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._machine.kill()  # unshare, and by its --kill-child process 1
                self._machine.wait()
            self._machine.stdout.close()
            self._machine = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def crash(self, node: str) -> None:
        """Every process of the node is killed at once; its network is gone. Slurm notices in about 30 s."""
        pid = (self.folder / f"{node}.pid").read_text().strip()
        self.run(["kill", "-KILL", pid])
        self.run(["sh", "-c", f"ip link del {node} 2>/dev/null || true"])
        self._crashed.add(node)

    def cut(self, node: str) -> None:
        """The node lives on and hears nobody."""
        self.run(["ip", "link", "set", node, "down"])

    def declare_down(self, node: str) -> None:
        """Tells Slurm what it would notice by itself: jobs on the node end with NODE_FAIL or are requeued."""
        self.run(["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test"])

    def mend(self, *nodes: str) -> None:
        """Crashed nodes boot, cut ones hear again; returns when they are idle. All nodes if none is named."""
        for node in nodes or self.nodes:
            if node in self._crashed:
                self._boot(node)
                self._crashed.discard(node)
            else:
                self.run(["ip", "link", "set", node, "up"])
            # fails for a node that is well, or not yet heard of
            self.run(["scontrol", "update", f"NodeName={node}", "State=RESUME"], check=False)
        self._wait_idle(nodes or self.nodes)

    def reset(self) -> None:
        """Between tests: no job, and every node well."""
        self.run(["scancel", "--user=root"], check=False)
        self.mend()

    def start(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | None = subprocess.DEVNULL,
    ) -> "subprocess.Popen[str]":
        """Starts a command on the login machine. Signals reach it through `send`, not through `kill`."""
        assert self._machine is not None, "the cluster is down"
        # nsenter leaves us in / of the machine, hence the chdir
        enter = [
            "nsenter",
            f"--target={_child(self._machine.pid)}",
            "--net",
            "--uts",
            "--ipc",
            "--mount",
            "--pid",
        ]
        return subprocess.Popen(
            [*enter, "env", f"--chdir={cwd or self.folder}", "--", *command],
            env=self.env | dict(env or {}),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def send(self, process: "subprocess.Popen[str]", number: signal.Signals) -> None:
        wait_until("the command to start", lambda: _children(process.pid) != [])
        os.kill(_child(process.pid), number)

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command on the login machine to its end; `check` raises AssertionError with its output."""
        with self.start(command, cwd=cwd, env=env) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                with suppress(ProcessLookupError):
                    self.send(process, signal.SIGKILL)
                process.kill()
                raise
        done = subprocess.CompletedProcess(list(command), process.returncode, out, err)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}\n{out}\n{err}")
        return done

    def call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """How mpibatch asks Slurm (its `Runner`), here on the login machine."""
        return self.run(command, check=False)

    def srun(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 60.0,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        return self.run(["srun", *arguments], cwd=cwd, env=env, timeout=timeout, check=check)

    def sbatch(self, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> int:
        """Submits and returns the job's id."""
        answer = self.run(["sbatch", "--parsable", *arguments], cwd=cwd, env=env).stdout
        return int(answer.split(";")[0])

    def job_state(self, job: int) -> str:
        return self.job_field(job, "JobState")

    def job_field(self, job: int, field: str) -> str:
        shown = self.run(["scontrol", "--oneliner", "show", "job", str(job)]).stdout
        return dict(pair.partition("=")[::2] for pair in shown.split())[field]

    def wait_job(self, job: int, timeout: float = 90.0) -> str:
        """The state in which the job ended; a requeued job has not."""
        wait_until(f"job {job} to end", lambda: self.job_state(job) in FINAL, timeout)
        return self.job_state(job)

    def logs(self) -> str:
        """The ends of all logs, for the message of a failure."""
        ends = [f"--- {path.name}\n{path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.log"))]
        return "\n".join(ends)

    def _boot(self, node: str) -> None:
        assert self._machine is not None
        assert self._machine.stdin is not None
        print(node, file=self._machine.stdin, flush=True)

    def _wait_idle(self, nodes: Sequence[str] | None = None) -> None:
        names = list(nodes or self.nodes)

        def idle() -> bool:
            shown = self.run(["sinfo", "-h", "-N", f"--nodes={','.join(names)}", "-o", "%N %t"]).stdout
            return sorted(shown.splitlines()) == sorted(f"{name} idle" for name in names)

        wait_until(f"{names} to be idle", idle)

    def _write_configuration(self) -> None:
        for name in ("munge", "state"):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge" / "key"
        key.touch(mode=0o400)
        key.write_bytes(secrets.token_bytes(128))
        addresses = [(f"{NET}.254", "ctl"), *((f"{NET}.{node[1:]}", node) for node in self.nodes)]
        hosts = Path("/etc/hosts").read_text() + "".join(f"{address} {name}\n" for address, name in addresses)
        (self.folder / "hosts").write_text(hosts)
        conf = SLURM_CONF.format(net=NET, folder=self.folder, mpi_default=self._mpi_default)
        for address, node in addresses[1:]:
            conf += f"NodeName={node} NodeAddr={address} CPUs=2 RealMemory=4000 Gres=gpu:2\n"
        conf += f"PartitionName=batch Nodes={','.join(self.nodes)} Default=YES MaxTime=INFINITE State=UP\n"
        (self.folder / "slurm.conf").write_text(conf)
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\nCgroupPlugin=cgroup/v1\n")
        # Mock GPUs, each a /dev/null of another name: Slurm wants devices and numbers them by their names
        for gpu in ("gpu0", "gpu1"):
            os.mknod(self.folder / gpu, stat.S_IFCHR | 0o666, os.stat("/dev/null").st_rdev)
        (self.folder / "gres.conf").write_text(f"AutoDetect=off\nName=gpu File={self.folder}/gpu[0-1]\n")
        needed = (REPOSITORY, Path(sys.prefix), Path(sys.base_prefix))
        if any(path.resolve().is_relative_to("/tmp") for path in needed):
            (self.folder / "shared-tmp").touch()


def _child(pid: int) -> int:
    """The only child of unshare or nsenter: process 1 of a machine, or the command that was asked for."""
    return _children(pid)[0]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _sweep() -> None:
    """Removes the folders of sessions that were killed; their processes are gone already."""
    for folder in FOLDERS.glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
