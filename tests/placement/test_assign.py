"""Who gets which GPU and cores: what must hold for every node, and the cases that users meet."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.cluster.environment import CUDA, LEVEL_ZERO, ROCR
from mpibatch.config.choices import Device
from mpibatch.errors import UsageError
from mpibatch.placement.assign import (
    Placement,
    Shares,
    allowed_cores,
    assign,
    executors_per_node,
    placement_environment,
)
from mpibatch.placement.core_assignment import assign_cores
from mpibatch.placement.gpu_assignment import NodeResources
from mpibatch.placement.gpus import Devices

CORES = tuple(range(8))

core_sets = st.sets(st.integers(0, 300), min_size=1, max_size=64).map(lambda cores: tuple(sorted(cores)))
gpu_counts = st.integers(1, 9)
rank_counts = st.integers(1, 40)


def gpus(*identifiers: str, device_files: tuple[str, ...] = (), task_bound: bool = False) -> Devices:
    return Devices(CUDA, identifiers, device_files, task_bound)


def alike(ranks: int, devices: Devices, cores: tuple[int, ...] = CORES) -> list[NodeResources]:
    return [NodeResources(devices, cores)] * ranks


def all_gpus(
    resources: list[NodeResources], processes_per_gpu: int = 1, device: Device = Device.AUTO
) -> list[str | None]:
    """The one GPU of each rank."""
    placements = assign(resources, Shares(1, None, processes_per_gpu, device))
    return [placement.gpus[0] if placement.gpus else None for placement in placements]


def all_cores(*allowed: tuple[int, ...], cpus_per_process: int | None = None) -> list[tuple[int, ...]]:
    resources = [NodeResources(cores=cores) for cores in allowed]
    return assign_cores(resources, [()] * len(allowed), cpus_per_process)


@given(cores=core_sets, count=rank_counts)
def test_cores_of_one_node_are_cut_into_contiguous_equal_slices(cores: tuple[int, ...], count: int) -> None:
    pieces = all_cores(*[cores] * count)
    lengths = [len(piece) for piece in pieces]
    if count <= len(cores):
        assert tuple(core for piece in pieces for core in piece) == cores
        assert max(lengths) - min(lengths) <= 1
        assert lengths == sorted(lengths, reverse=True)
    else:
        uses = Counter(core for piece in pieces for core in piece)
        assert set(lengths) == {1}
        assert set(uses) == set(cores)
        assert max(uses.values()) - min(uses.values()) <= 1


@given(count=gpu_counts, ranks=rank_counts, per_gpu=st.integers(1, 4))
def test_gpus_are_used_evenly_and_never_too_often(count: int, ranks: int, per_gpu: int) -> None:
    names = tuple(f"GPU-{number}" for number in range(count))
    resources = alike(ranks, gpus(*names))
    if ranks > count * per_gpu:
        with pytest.raises(UsageError, match="processes_per_gpu"):
            all_gpus(resources, per_gpu)
        return
    chosen = all_gpus(resources, per_gpu)
    uses = Counter(chosen)
    assert set(uses) <= set(names)
    assert max(uses.values()) <= per_gpu
    assert max(uses.values()) - min(uses[name] for name in names) <= 1
    assert chosen[:count] == list(names[:ranks])


@given(seen=st.lists(st.sets(st.sampled_from("0123"), max_size=4), min_size=1, max_size=8))
def test_whatever_ranks_see_they_get_what_they_see_or_an_error(seen: list[set[str]]) -> None:
    resources = [NodeResources(gpus(*sorted(names)), CORES) for names in seen]
    try:
        chosen = all_gpus(resources)
    except UsageError:
        return
    assert all(gpu in names if names else gpu is None for gpu, names in zip(chosen, seen, strict=True))
    assert max(Counter(gpu for gpu in chosen if gpu).values(), default=0) <= 1


def test_ranks_that_each_see_one_gpu_keep_it() -> None:
    assert all_gpus([NodeResources(gpus("1"), CORES), NodeResources(gpus("0"), CORES)], device=Device.GPU) == ["1", "0"]


def test_gpus_of_one_name_may_be_different_ones() -> None:
    assert all_gpus(alike(4, gpus("0", task_bound=True))) == ["0"] * 4
    by_cgroup = [NodeResources(gpus("0", device_files=(f"nvidia{rank}",)), CORES) for rank in range(4)]
    assert all_gpus(by_cgroup) == ["0"] * 4


def test_what_slurm_binds_to_a_rank_is_obeyed() -> None:
    """All GPUs of `srun --gpus-per-task=2`, unless the job file says how many of them an executor owns."""
    bound = alike(2, gpus("0", "1", task_bound=True))
    assert [placement.gpus for placement in assign(bound)] == [("0", "1")] * 2
    assert [placement.gpus for placement in assign(bound, Shares(gpus_per_process=2))] == [("0", "1")] * 2
    assert all_gpus(bound) == ["0", "0"]
    with pytest.raises(UsageError, match=r"sees only 2 GPUs \(0, 1\).*--gpus-per-task=4.*`gpus_per_process: 2`"):
        assign(bound, Shares(gpus_per_process=4))


def test_a_rank_with_less_choice_goes_first() -> None:
    assert all_gpus([NodeResources(gpus("0", "1"), CORES), NodeResources(gpus("0"), CORES)]) == ["1", "0"]


@pytest.mark.parametrize("device", [Device.AUTO, Device.GPU])
def test_too_few_gpus_say_what_to_change(device: Device) -> None:
    with pytest.raises(UsageError) as error:
        assign(alike(5, gpus("0", "1")), Shares(device=device))
    assert str(error.value) == (
        "5 executors on this node for 2 GPUs (0, 1), with processes_per_gpu 1. Start at most 2 a node (-n,"
        " process_count_per_node), or set `processes_per_gpu: 3` if the model fits that often, or set"
        " `device: cpu`."
    )


def test_without_gpus() -> None:
    resources = alike(2, gpus())
    assert assign(resources)[1] == Placement((), None, (4, 5, 6, 7), 4, (0,))
    with pytest.raises(UsageError, match="sees no GPU"):
        assign(resources, Shares(device=Device.GPU))


def test_cpu_hides_the_gpus() -> None:
    placement = assign(alike(9, gpus("0")), Shares(device=Device.CPU))[0]
    assert placement.gpus == ()
    assert placement_environment(placement, {})[CUDA] == "-1"
    (unhideable,) = assign([NodeResources(Devices(LEVEL_ZERO, ("0",)), CORES)], Shares(device=Device.CPU))
    assert placement_environment(unhideable, {}) == {"OMP_NUM_THREADS": "8"}


def test_cores_are_cut_only_where_they_are_shared() -> None:
    assert all_cores((0, 1), (2, 3)) == [(0, 1), (2, 3)]
    assert all_cores((0, 1), (0, 1)) == [(0,), (1,)]
    assert all_cores((0, 1), (2, 3), (0, 1), (2, 3)) == [(0,), (2,), (1,), (3,)]  # two sockets
    assert all_cores(()) == [()]


def test_cpus_per_process() -> None:
    """So many each, the rest left alone; too few are refused with what would fit."""
    assert all_cores(CORES, CORES, cpus_per_process=3) == [(0, 1, 2), (4, 5, 6)]
    assert all_cores((0, 1, 2, 3), (4, 5, 6, 7), cpus_per_process=2) == [(0, 1), (4, 5)], "the launcher's sets"
    with pytest.raises(
        UsageError, match=r"3 executors of 3 CPUs each.*8 CPUs.*at most 2 a node.*`cpus_per_process: 2`"
    ):
        all_cores(CORES, CORES, CORES, cpus_per_process=3)
    with pytest.raises(UsageError, match=r"on 2 CPUs only.*--cpus-per-task=4.*`cpus_per_process: 2`"):
        all_cores((0, 1), (2, 3), cpus_per_process=4)


def test_the_environment_of_an_executor() -> None:
    placement = Placement(("MIG-1111",), CUDA, (2, 3), 2)
    assert placement_environment(placement, {}) == {CUDA: "MIG-1111", "OMP_NUM_THREADS": "2"}
    assert placement_environment(placement, {"OMP_NUM_THREADS": "1", CUDA: "MIG-1111,MIG-2222"}) == {CUDA: "MIG-1111"}
    assert placement_environment(Placement(("3", "4"), ROCR, (0,), 1), {})[ROCR] == "3,4"


def test_auto_is_one_executor_per_gpu_else_per_core() -> None:
    assert executors_per_node(NodeResources(gpus("0", "1"), CORES)) == 2
    assert executors_per_node(NodeResources(gpus("0", "1"), CORES), Shares(processes_per_gpu=3)) == 6
    assert executors_per_node(NodeResources(gpus("0", "1"), CORES), Shares(device=Device.CPU)) == 8
    assert executors_per_node(NodeResources(gpus(), CORES)) == 8
    assert executors_per_node(NodeResources(gpus(), CORES), Shares(cpus_per_process=3)) == 2
    assert executors_per_node(NodeResources(gpus("0", "1"), CORES), Shares(2, 8)) == 1


def test_this_process_may_run_somewhere() -> None:
    assert allowed_cores()
