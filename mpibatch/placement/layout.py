"""How many ranks a job asks for where no launcher has said, and what each of a node's ranks would be placed on.

node_count x process_count_per_node --requested_layout--> RankLayout   `auto` counts this machine's GPUs, else its CPUs
RankLayout + what this machine sees --place_node--------> a Placement for each rank of one node
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from mpibatch.cluster.environment import JOB_NODES, JOB_TASKS, detect_launcher, first_number
from mpibatch.config.schema import RunConfig
from mpibatch.placement import gpus
from mpibatch.placement.assign import Placement, Shares, allowed_cores, assign, executors_per_node
from mpibatch.placement.gpu_assignment import NodeResources
from mpibatch.placement.gpu_locations import locate
from mpibatch.placement.topology import read_topology


@dataclass(frozen=True, slots=True)
class RankLayout:
    """nodes x per_node, as the job file has it."""

    nodes: int
    per_node: int

    @property
    def total(self) -> int:
        return self.nodes * self.per_node


def resources_of(config: RunConfig, env: Mapping[str, str]) -> NodeResources:
    """What this process sees of its node, with the job's environment_variables laid over its own."""
    return node_resources({**env, **config.environment_variables})


def node_resources(env: Mapping[str, str]) -> NodeResources:
    """What a process with this environment sees of its node."""
    absent = gpus.absent_devices(env)
    present = {name: value for name, value in env.items() if name not in absent}
    devices, cpus = gpus.visible_devices(present), allowed_cores()
    return NodeResources(devices, cpus, locate(devices, present), read_topology(cpus))


def requested_layout(config: RunConfig, env: Mapping[str, str]) -> RankLayout:
    """What the job file asks for; with `auto` everything there is, so in an allocation all its nodes."""
    per_node = config.process_count_per_node
    if per_node is not None:
        return RankLayout(config.node_count, per_node)
    per_node = executors_per_node(resources_of(config, env), Shares.of(config))
    return RankLayout(first_number(env, (JOB_NODES,)) or config.node_count, per_node)


def layout_warnings(ranks: int, asked: int | None, config: RunConfig, env: Mapping[str, str]) -> list[str]:
    """What was asked for in vain, or what is left unused, with `ranks` ranks; `asked` is the command line's -n."""
    launcher = detect_launcher(env)
    found = []
    if launcher is not None and asked is not None and asked != ranks:
        found.append(f"-n {asked} is ignored: {launcher.name.value} has started {ranks} ranks")
    wanted = config.node_count * (config.process_count_per_node or 0)
    if asked is None and wanted > 1 and wanted != ranks:
        found.append(
            f"the job file asks for {wanted} ranks (node_count {config.node_count} x process_count_per_node "
            f"{config.process_count_per_node}), and there are {ranks}"
        )
    found += [
        f"{name}={env[name]} is ignored: there is no GPU on {os.uname().nodename}" for name in gpus.absent_devices(env)
    ]
    tasks = first_number(env, (JOB_TASKS,))
    if tasks is not None and tasks > 1 and tasks != ranks:
        more = "they share its cores" if ranks > tasks else "the others stay unused"
        found.append(f"Slurm allocated {tasks} tasks ({JOB_TASKS}), and there are {ranks} ranks: {more}")
    return found


def place_node(config: RunConfig, per_node: int, env: Mapping[str, str]) -> list[Placement]:
    """The places of the ranks of a node that is like this machine. Raises UsageError where it has none for them."""
    return assign([resources_of(config, env)] * per_node, Shares.of(config))
