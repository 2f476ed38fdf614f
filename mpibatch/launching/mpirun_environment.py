"""The environment that mpirun gets: without what in the user's own would break it, or the srun that it calls.

| variable | what becomes of it |
| --- | --- |
| `HOME` | from the user database where it is not set: PMIx wants one |
| `SLURM_*` of a job that Slurm does not know | left out, and said: a shell that has outlived its job |
| `SLURM_EXPORT_ENV` | left out: with NONE mpirun's daemons would find nothing |
| `SLURM_MPI_TYPE` | `none`: the daemons are no MPI processes, whatever MpiDefault is |
| `SLURM_CPU_BIND*` | left out: the binding of one task is not the daemons' |
| `SLURM_GPUS`, `SLURM_GPUS_PER_TASK` | GPUs per node: the daemons are one task on each node |
| `SLURM_MEM_PER_*` | one of them: srun refuses two |
"""

import os
import pwd
import subprocess
from collections.abc import Callable, Mapping

from mpibatch.cluster.slurm import Runner, run

MEMORY = ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_MEM_PER_GPU")
PER_JOB_GPUS = ("SLURM_GPUS", "SLURM_GPUS_PER_TASK")


def mpirun_environment(env: Mapping[str, str], notify: Callable[[str], None], run: Runner = run) -> dict[str, str]:
    """What `env` becomes for mpirun and all that it starts; `notify` is told of an allocation that is ignored."""
    changed = dict(env)
    if not changed.get("HOME"):
        changed["HOME"] = _home()
    if "SLURM_JOB_ID" not in changed:
        return changed
    if not _is_known(changed, run):
        notify(
            f"warning: Slurm knows no job {changed['SLURM_JOB_ID']}, of which SLURM_JOB_ID tells (a shell that has "
            "outlived its job?): its variables are ignored, and the ranks are started on this host"
        )
        return {name: value for name, value in changed.items() if not name.startswith("SLURM_")}
    changed["SLURM_MPI_TYPE"] = "none"
    per_job = [changed.pop(name, "") for name in PER_JOB_GPUS]
    if any(per_job) and "SLURM_GPUS_ON_NODE" in changed:
        changed.setdefault("SLURM_GPUS_PER_NODE", changed["SLURM_GPUS_ON_NODE"])
    for name in [name for name in MEMORY if name in changed][1:]:
        del changed[name]
    return {
        name: value
        for name, value in changed.items()
        if name != "SLURM_EXPORT_ENV" and not name.startswith("SLURM_CPU_BIND")
    }


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a user without an entry, as in containers
        return "/"


def _is_known(env: Mapping[str, str], run: Runner) -> bool:
    """Whether this is an allocation; without Slurm's commands, whether this host is one of its nodes."""
    try:
        return run(["scontrol", "show", "job", env["SLURM_JOB_ID"]]).returncode == 0
    except subprocess.TimeoutExpired:
        return True
    except OSError:
        nodes = env.get("SLURM_JOB_NODELIST", "")
        return "[" in nodes or os.uname().nodename.partition(".")[0] in nodes
