"""On which nodes of an allocation the ranks go, and how many on each.

SLURM_JOB_NODELIST --scontrol--> names --lay_out--> HostLayout --mpirun_command--> argv of mpirun
                                   after ranks died: names --a step of Slurm on each--> those that answer
"""

import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mpibatch.cluster.slurm import Runner, run
from mpibatch.errors import MpibatchError
from mpibatch.liveness.timers import NODE_RESPONSE_SECONDS

MAX_PROBES = 32
SHARED_STEPS = {"SLURM_OVERLAP": "1"}
"""For mpirun, which starts its daemons by srun: where a node is lost the step of the last ones holds on to its cores on
the others too, for minutes, and a step that does not share them would wait."""


@dataclass(frozen=True, slots=True)
class HostLayout:
    """hosts: names of those to use, () for all of the allocation; per_node: ranks on each, as far as they go."""

    ranks: int
    per_node: int
    hosts: tuple[str, ...] = ()


def allocation_hosts(env: Mapping[str, str], run: Runner = run) -> tuple[str, ...]:
    """The nodes of this allocation; () outside of one, and in one of a single node: no choice there."""
    if int(env.get("SLURM_JOB_NUM_NODES", "1")) < 2:
        return ()
    try:
        return tuple(run(["scontrol", "show", "hostnames", env.get("SLURM_JOB_NODELIST", "")]).stdout.split())
    except (OSError, subprocess.TimeoutExpired):
        return ()


def lay_out(ranks: int, nodes: Sequence[str]) -> HostLayout | None:
    """The ranks evenly over the nodes, neighbours together; None where there are none to choose from."""
    return HostLayout(ranks, -(-ranks // len(nodes))) if nodes else None


def lay_out_again(first: HostLayout, nodes: Sequence[str], run: Runner = run) -> HostLayout:
    """The same on the nodes that still answer; on fewer nodes fewer ranks, since cores and GPUs do not grow.

    Raises MpibatchError where none answers.
    """
    with ThreadPoolExecutor(MAX_PROBES) as threads:
        answers = list(threads.map(lambda node: _responds(node, run), nodes))
    alive = tuple(node for node, answer in zip(nodes, answers, strict=True) if answer)
    if not alive:
        raise MpibatchError(f"none of the nodes {', '.join(nodes)} answers any more")
    if len(alive) == len(nodes):
        return first
    return HostLayout(min(first.ranks, first.per_node * len(alive)), first.per_node, alive)


def _responds(node: str, run: Runner) -> bool:
    """Whether Slurm can start something there: it may list a lost node as well for minutes."""
    step = ["srun", "--overlap", "--nodes=1", "--ntasks=1", "--ntasks-per-node=1", f"--nodelist={node}", "--mpi=none"]
    try:
        return run(["timeout", "--kill-after=1", str(NODE_RESPONSE_SECONDS), *step, "--mem=0", "true"]).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
