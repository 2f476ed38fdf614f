"""Who gets which GPU and cores: what must hold for every node, and the cases that users meet."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpibatch.config.schema import Device
from mpibatch.errors import UsageError
from mpibatch.placement.gpus import Devices
from mpibatch.placement.place import (
    Placement,
    Sight,
    allowed_cores,
    assign_cores,
    environment,
    executors_per_node,
    place,
    slices,
)
from mpibatch.placement.variables import CUDA, LEVEL_ZERO, ROCR

CORES = tuple(range(8))

core_sets = st.sets(st.integers(0, 300), min_size=1, max_size=64).map(lambda cores: tuple(sorted(cores)))
gpu_counts = st.integers(1, 9)
rank_counts = st.integers(1, 40)


def gpus(*identifiers: str, nodes: tuple[str, ...] = (), bound: bool = False) -> Devices:
    return Devices(CUDA, identifiers, nodes, bound)


def alike(ranks: int, devices: Devices, cores: tuple[int, ...] = CORES) -> list[Sight]:
    return [Sight(devices, cores)] * ranks


def all_gpus(sights: list[Sight], processes_per_gpu: int = 1, device: Device = Device.AUTO) -> list[str | None]:
    return [place(rank, sights, processes_per_gpu=processes_per_gpu, device=device).gpu for rank in range(len(sights))]


@given(cores=core_sets, count=rank_counts)
def test_slices_are_contiguous_equal_and_cover_the_set(cores: tuple[int, ...], count: int) -> None:
    pieces = slices(cores, count)
    assert len(pieces) == count
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
    sights = alike(ranks, gpus(*names))
    if ranks > count * per_gpu:
        with pytest.raises(UsageError, match="processes_per_gpu"):
            all_gpus(sights, per_gpu)
        return
    chosen = all_gpus(sights, per_gpu)
    uses = Counter(chosen)
    assert set(uses) <= set(names)
    assert max(uses.values()) <= per_gpu
    assert max(uses.values()) - min(uses[name] for name in names) <= 1
    assert chosen[:count] == list(names[:ranks])


@given(seen=st.lists(st.sets(st.sampled_from("0123"), max_size=4), min_size=1, max_size=8))
def test_whatever_ranks_see_they_get_what_they_see_or_an_error(seen: list[set[str]]) -> None:
    sights = [Sight(gpus(*sorted(names)), CORES) for names in seen]
    try:
        chosen = all_gpus(sights)
    except UsageError:
        return
    assert all(gpu in names if names else gpu is None for gpu, names in zip(chosen, seen, strict=True))
    assert max(Counter(gpu for gpu in chosen if gpu).values(), default=0) <= 1


def test_ranks_that_each_see_one_gpu_keep_it() -> None:
    assert all_gpus([Sight(gpus("1"), CORES), Sight(gpus("0"), CORES)], device=Device.GPU) == ["1", "0"]


def test_gpus_of_one_name_may_be_different_ones() -> None:
    assert all_gpus(alike(4, gpus("0", bound=True))) == ["0"] * 4
    by_cgroup = [Sight(gpus("0", nodes=(f"nvidia{rank}",)), CORES) for rank in range(4)]
    assert all_gpus(by_cgroup) == ["0"] * 4


def test_of_several_gpus_bound_to_a_rank_it_gets_the_first() -> None:
    assert all_gpus(alike(2, gpus("0", "1", bound=True))) == ["0", "0"]


def test_a_rank_with_less_choice_goes_first() -> None:
    assert all_gpus([Sight(gpus("0", "1"), CORES), Sight(gpus("0"), CORES)]) == ["1", "0"]


@pytest.mark.parametrize("device", [Device.AUTO, Device.GPU])
def test_too_few_gpus_say_what_to_change(device: Device) -> None:
    with pytest.raises(UsageError) as error:
        place(0, alike(5, gpus("0", "1")), device=device)
    assert str(error.value) == (
        "5 executors on this node for 2 GPUs (0, 1), with processes_per_gpu 1. Start at most 2 a node (-n,"
        " process_count_per_node), or set `processes_per_gpu: 3` if the model fits that often, or set"
        " `device: cpu`."
    )


def test_without_gpus() -> None:
    sights = alike(2, gpus())
    assert place(1, sights) == Placement(None, None, (4, 5, 6, 7), 4)
    with pytest.raises(UsageError, match="sees no GPU"):
        place(0, sights, device=Device.GPU)


def test_cpu_hides_the_gpus() -> None:
    placement = place(0, alike(9, gpus("0")), device=Device.CPU)
    assert placement.gpu is None
    assert environment(placement, {})[CUDA] == "-1"
    unhideable = place(0, [Sight(Devices(LEVEL_ZERO, ("0",)), CORES)], device=Device.CPU)
    assert environment(unhideable, {}) == {"OMP_NUM_THREADS": "8"}


def test_cores_are_cut_only_where_they_are_shared() -> None:
    assert assign_cores([(0, 1), (2, 3)]) == [(0, 1), (2, 3)]
    assert assign_cores([(0, 1), (0, 1)]) == [(0,), (1,)]
    assert assign_cores([(0, 1), (2, 3), (0, 1), (2, 3)]) == [(0,), (2,), (1,), (3,)]  # two sockets
    assert assign_cores([()]) == [()]


def test_the_environment_of_an_executor() -> None:
    placement = Placement("MIG-1111", CUDA, (2, 3), 2)
    assert environment(placement, {}) == {CUDA: "MIG-1111", "OMP_NUM_THREADS": "2"}
    assert environment(placement, {"OMP_NUM_THREADS": "1", CUDA: "MIG-1111,MIG-2222"}) == {CUDA: "MIG-1111"}
    assert environment(Placement("3", ROCR, (0,), 1), {})[ROCR] == "3"


def test_auto_is_one_executor_per_gpu_else_per_core() -> None:
    assert executors_per_node(Sight(gpus("0", "1"), CORES)) == 2
    assert executors_per_node(Sight(gpus("0", "1"), CORES), processes_per_gpu=3) == 6
    assert executors_per_node(Sight(gpus("0", "1"), CORES), device=Device.CPU) == 8
    assert executors_per_node(Sight(gpus(), CORES)) == 8


def test_this_process_may_run_somewhere() -> None:
    assert allowed_cores()
