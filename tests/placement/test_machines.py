"""Who gets what on real machines: the GPUs and cores of each executor, beside each other as the machine has them."""

from pathlib import Path

import pytest

from mpibatch.cluster.environment import CUDA, HIP, ROCR
from mpibatch.errors import UsageError
from mpibatch.placement.assign import Shares, assign, executors_per_node, placement_environment
from mpibatch.placement.gpu_assignment import NodeResources
from mpibatch.placement.topology import Topology, parse_list, read_topology
from mpibatch.reporting.placement_table import placement_table, ranges
from tests.placement import machines

Row = tuple[str, str, int]


def table(resources: NodeResources, shares: Shares, executors: int | None = None) -> list[Row]:
    """GPUs, CPUs and threads of each executor; as many as `auto` starts unless given."""
    count = executors_per_node(resources, shares) if executors is None else executors
    return [
        (",".join(placement.gpus), ranges(placement.cores), placement.threads)
        for placement in assign([resources] * count, shares)
    ]


def test_a_dgx_by_gpu(tmp_path: Path) -> None:
    """An eighth of the cores each: those of the GPU's NUMA node, then of the nearest that has no GPU."""
    assert table(machines.dgx_a100(tmp_path).resources(), Shares()) == [
        ("0", "0-7,48-55,128-135,176-183", 16),
        ("1", "8-15,56-63,136-143,184-191", 16),
        ("2", "16-23,32-39,144-151,160-167", 16),
        ("3", "24-31,40-47,152-159,168-175", 16),
        ("4", "64-71,112-119,192-199,240-247", 16),
        ("5", "72-79,120-127,200-207,248-255", 16),
        ("6", "80-87,96-103,208-215,224-231", 16),
        ("7", "88-95,104-111,216-223,232-239", 16),
    ]


def test_a_dgx_by_pairs_and_sockets(tmp_path: Path) -> None:
    resources = machines.dgx_a100(tmp_path).resources()
    assert table(resources, Shares(gpus_per_process=2)) == [
        ("0,1", "0-15,48-63,128-143,176-191", 32),
        ("2,3", "16-47,144-175", 32),
        ("4,5", "64-79,112-127,192-207,240-255", 32),
        ("6,7", "80-111,208-239", 32),
    ]
    assert table(resources, Shares(gpus_per_process=4)) == [
        ("0,1,2,3", "0-63,128-191", 64),
        ("4,5,6,7", "64-127,192-255", 64),
    ]
    assert table(resources, Shares(gpus_per_process=8)) == [("0,1,2,3,4,5,6,7", "0-255", 128)]
    with pytest.raises(UsageError, match=r"to 1, 2, 4 or 8, or `process_count_per_node: 2`"):
        table(resources, Shares(gpus_per_process=3))


def test_so_many_cpus_beside_the_gpu(tmp_path: Path) -> None:
    """Whole cores: two hyperthreads of each of four; threads are counted by core."""
    rows = table(machines.dgx_a100(tmp_path).resources(), Shares(cpus_per_process=8))
    assert rows[:4] == [
        ("0", "48-51,176-179", 4),
        ("1", "56-59,184-187", 4),
        ("2", "16-19,144-147", 4),
        ("3", "24-27,152-155", 4),
    ]
    with pytest.raises(UsageError, match=r"8 executors of 64 CPUs.*256 CPUs.*at most 4.*`cpus_per_process: 32`"):
        table(machines.dgx_a100(tmp_path).resources(), Shares(cpus_per_process=64))


def test_a_part_of_a_dgx(tmp_path: Path) -> None:
    """Indices count the GPUs that may be opened; names are names; both find their place."""
    machine = machines.dgx_a100(tmp_path)
    by_name = machine.resources({CUDA: "GPU-00000006-cafe,GPU-00000002-cafe,GPU-00000003-cafe,GPU-00000007-cafe"})
    pairs = table(by_name, Shares(gpus_per_process=2))
    assert [gpus for gpus, _, _ in pairs] == [
        "GPU-00000006-cafe,GPU-00000007-cafe",
        "GPU-00000002-cafe,GPU-00000003-cafe",
    ]
    for minor in (0, 1, 2, 3):
        (tmp_path / f"dev/nvidia{minor}").unlink()  # a cgroup that gives the last four
    assert table(machine.resources({CUDA: "0"}), Shares(cpus_per_process=2)) == [("0", "112,240", 1)]


def test_groups_that_do_not_fit_into_numa_nodes(tmp_path: Path) -> None:
    """Three GPUs on each of two nodes: a pair in each before one that crosses, which few executors do without."""
    machines.add_cpus(tmp_path, ["0-5", "6-11"], 0, [[10, 20], [20, 10]])
    machines.add_nvidia(tmp_path, [(f"0000:{bus:02x}:00.0", bus // 4) for bus in (1, 2, 3, 4, 5, 6)])
    resources = machines.Machine(tmp_path, tuple(range(12))).resources()
    assert table(resources, Shares(gpus_per_process=2)) == [
        ("0,1", "0-2,10", 4),
        ("3,4", "6-8,11", 4),
        ("2,5", "3-5,9", 4),
    ]


def test_two_sockets(tmp_path: Path) -> None:
    """Slices stay within a socket, whatever its CPUs are numbered; hyperthreads are divided only when cores are few."""
    resources = machines.two_sockets(tmp_path).resources()
    even, odd = range(0, 40, 2), range(1, 40, 2)
    assert table(resources, Shares(), 2) == [
        ("", ",".join(map(str, range(0, 80, 2))), 20),
        ("", ",".join(map(str, range(1, 80, 2))), 20),
    ]
    by_core = table(resources, Shares(), 40)
    assert by_core == [("", f"{core},{core + 40}", 1) for core in (*even, *odd)]
    assert [row[2] for row in table(resources, Shares(), 80)] == [1] * 80
    assert {cpus for _, cpus, _ in table(resources, Shares())} == {str(cpu) for cpu in range(80)}
    assert table(resources, Shares(cpus_per_process=10), 3) == [
        ("", "0,2,4,6,8,40,42,44,46,48", 5),
        ("", "20,22,24,26,28,60,62,64,66,68", 5),
        ("", "1,3,5,7,9,41,43,45,47,49", 5),
    ]
    assert len(table(resources, Shares(cpus_per_process=8))) == 10


def test_what_the_launcher_bound_is_kept(tmp_path: Path) -> None:
    machine = machines.two_sockets(tmp_path)
    bound = [machine.resources(cpus=(0, 40)), machine.resources(cpus=(1, 2))]
    assert [(placement.cores, placement.threads) for placement in assign(bound)] == [((0, 40), 1), ((1, 2), 2)]


def test_mig(tmp_path: Path) -> None:
    """By name, beside the GPU that is whole; not several for one executor, which CUDA could not use."""
    resources = machines.mig(tmp_path).resources()
    names = ["MIG-e91edf3b", "MIG-f0a1b2c3", "GPU-00000001-cafe"]
    assert [gpus for gpus, _, _ in table(resources, Shares())] == names
    assert [location.address[5:7] for location in resources.locations] == ["07", "07", "0f"]
    with pytest.raises(UsageError, match="CUDA lets a process use one"):
        table(resources, Shares(gpus_per_process=2), 1)


def test_lumi(tmp_path: Path) -> None:
    """What LUMI's documentation has users bind by hand."""
    machine = machines.lumi_g(tmp_path)
    rows = table(machine.resources(), Shares())
    assert rows[0] == ("0", "48-55,112-119", 8)
    assert [cpus.partition(",")[0] for _, cpus, _ in rows] == [
        "48-55", "56-63", "16-23", "24-31", "0-7", "8-15", "32-39", "40-47",
    ]  # fmt: skip
    (pair, *_) = assign([machine.resources()] * 4, Shares(gpus_per_process=2))
    assert placement_environment(pair, {}) == {ROCR: "0,1", "OMP_NUM_THREADS": "16"}
    by_name = machine.resources({ROCR: "GPU-abc4,GPU-abc5"})
    assert table(by_name, Shares(cpus_per_process=16)) == [("GPU-abc4", "0-7,64-71", 8), ("GPU-abc5", "8-15,72-79", 8)]
    of_two = machine.resources({ROCR: "4,6", HIP: "1"})  # HIP's indices count what ROCr leaves over
    assert table(of_two, Shares(cpus_per_process=2)) == [("1", "32,96", 1)]


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    """A container without /sys: each CPU is a core, and GPUs go in their order."""
    assert read_topology((0, 1), tmp_path) == Topology({0: 0, 1: 1}, {}, {})
    blind = machines.Machine(tmp_path, (0, 1, 2, 3)).resources({CUDA: "0,1,2,3"})
    assert table(blind, Shares(gpus_per_process=2)) == [("0,1", "0-1", 2), ("2,3", "2-3", 2)]
    assert parse_list("0-2,7\n") == {0, 1, 2, 7}
    assert parse_list("nonsense, 3-") == parse_list("") == set()


def test_the_printed_table(tmp_path: Path) -> None:
    resources = machines.lumi_g(tmp_path).resources()
    placements = [("nid1", placement) for placement in assign([resources] * 2, Shares(gpus_per_process=4))]
    assert placement_table([*placements, ("nid1", "coordinates only")]) == (
        "rank  host  GPUs     CPUs                       NUMA  threads\n"
        "0     nid1  0,1,2,3  16-31,48-63,80-95,112-127  1,3   32\n"
        "1     nid1  4,5,6,7  0-15,32-47,64-79,96-111    0,2   32\n"
        "2     nid1  coordinates only"
    )
