"""How many ranks a job asks for where no launcher has said, and what each of a node's ranks would be placed on.

node_count x process_count_per_node --wanted_ranks--> Ranks        `auto` counts this machine's GPUs, else its cores
Ranks + what this machine sees      --node_places---> a Placement for each rank of one node
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mpibatch.config.schema import ParallelRunConfig
from mpibatch.placement import gpus
from mpibatch.placement.place import Placement, Sight, allowed_cores, executors_per_node, place
from mpibatch.placement.variables import JOB_NODES, JOB_TASKS, first_number, launched_by


@dataclass(frozen=True, slots=True)
class Ranks:
    """nodes x per_node, as the job file has it."""

    nodes: int
    per_node: int

    @property
    def total(self) -> int:
        return self.nodes * self.per_node


def sight_of(config: ParallelRunConfig, env: Mapping[str, str]) -> Sight:
    """What this process sees of its node, with the job's environment_variables laid over its own."""
    return Sight(gpus.visible({**env, **config.environment_variables}), allowed_cores())


def wanted_ranks(config: ParallelRunConfig, env: Mapping[str, str]) -> Ranks:
    """What the job file asks for; with `auto` everything there is, so in an allocation all its nodes."""
    per_node = config.process_count_per_node
    if per_node is not None:
        return Ranks(config.node_count, per_node)
    per_node = executors_per_node(sight_of(config, env), config.processes_per_gpu, config.device)
    return Ranks(first_number(env, (JOB_NODES,)) or config.node_count, per_node)


def disagreements(ranks: int, asked: int | None, config: ParallelRunConfig, env: Mapping[str, str]) -> list[str]:
    """What was asked for in vain, or what is left unused, with `ranks` ranks; `asked` is the command line's -n."""
    launcher = launched_by(env)
    found = []
    if launcher is not None and asked is not None and asked != ranks:
        found.append(f"-n {asked} is ignored: {launcher.name.value} has started {ranks} ranks")
    wanted = config.node_count * (config.process_count_per_node or 0)
    if asked is None and wanted > 1 and wanted != ranks:
        found.append(
            f"the job file asks for {wanted} ranks (node_count {config.node_count} x process_count_per_node "
            f"{config.process_count_per_node}), and there are {ranks}"
        )
    tasks = first_number(env, (JOB_TASKS,))
    if tasks is not None and tasks > 1 and tasks != ranks:
        more = "they share its cores" if ranks > tasks else "the others stay unused"
        found.append(f"Slurm allocated {tasks} tasks ({JOB_TASKS}), and there are {ranks} ranks: {more}")
    return found


def node_places(config: ParallelRunConfig, per_node: int, env: Mapping[str, str]) -> list[Placement]:
    """The places of the ranks of a node that is like this machine. Raises UsageError where it has none for them."""
    sights = [sight_of(config, env)] * per_node
    return [
        place(local_rank, sights, processes_per_gpu=config.processes_per_gpu, device=config.device)
        for local_rank in range(per_node)
    ]
