"""How many ranks a job asks for, and their places on a node like this one."""

import pytest

from mpibatch.config.schema import Device, ParallelRunConfig
from mpibatch.errors import UsageError
from mpibatch.placement.place import allowed_cores
from mpibatch.placement.ranks import disagreements, node_places, wanted_ranks

FOUR_GPUS = {"CUDA_VISIBLE_DEVICES": "0,1,2,3"}


def config(**settings: object) -> ParallelRunConfig:
    return ParallelRunConfig(".", "score.py", **settings)  # type: ignore[arg-type]


def test_nodes_times_processes() -> None:
    assert wanted_ranks(config(node_count=3, process_count_per_node=4), {}).total == 12


def test_auto_is_one_per_gpu_else_one_per_core() -> None:
    auto = config(process_count_per_node=None, processes_per_gpu=2, node_count=2)
    assert wanted_ranks(auto, FOUR_GPUS).total == 16
    assert wanted_ranks(config(process_count_per_node=None, device=Device.CPU), FOUR_GPUS).total == len(allowed_cores())


def test_environment_variables_of_the_job_count() -> None:
    narrowed = config(process_count_per_node=None, environment_variables={"CUDA_VISIBLE_DEVICES": "2"})
    assert wanted_ranks(narrowed, FOUR_GPUS).total == 1


def test_places_on_this_node() -> None:
    assert [place.gpu for place in node_places(config(), 4, FOUR_GPUS)] == ["0", "1", "2", "3"]
    with pytest.raises(UsageError, match="5 executors on this node for 4 GPUs"):
        node_places(config(), 5, FOUR_GPUS)


def test_auto_takes_all_nodes_of_an_allocation() -> None:
    allocation = {"SLURM_JOB_NUM_NODES": "3", **FOUR_GPUS}
    assert wanted_ranks(config(process_count_per_node=None), allocation).total == 12
    assert wanted_ranks(config(process_count_per_node=4), allocation).total == 4  # what is written counts


STEP = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "6", "SLURM_NTASKS": "6"}


@pytest.mark.parametrize(
    ("ranks", "asked", "env", "settings", "words"),
    [
        (2, 2, {}, {}, []),
        (6, None, STEP, {}, []),
        (6, None, STEP, {"node_count": 3, "process_count_per_node": 2}, []),
        (6, 4, STEP, {}, ["-n 4 is ignored: Slurm has started 6 ranks"]),
        (6, None, STEP, {"node_count": 2, "process_count_per_node": 2}, ["asks for 4 ranks", "node_count 2"]),
        (4, 4, {"SLURM_NTASKS": "6"}, {}, ["allocated 6 tasks", "the others stay unused"]),
        (8, 8, {"SLURM_NTASKS": "6"}, {}, ["allocated 6 tasks", "they share its cores"]),
        (8, 8, {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, {}, []),  # srun --pty bash
    ],
)
def test_numbers_that_disagree(
    ranks: int, asked: int | None, env: dict[str, str], settings: dict[str, int], words: list[str]
) -> None:
    told = disagreements(ranks, asked, config(**settings), env)
    assert len(told) == bool(words)
    assert all(word in told[0] for word in words)
