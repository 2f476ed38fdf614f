"""How many ranks a job asks for, and their places on a node like this one."""

import pytest

from mpibatch.config.choices import Device
from mpibatch.config.schema import RunConfig
from mpibatch.errors import UsageError
from mpibatch.placement.assign import allowed_cores
from mpibatch.placement.layout import layout_warnings, place_node, requested_layout

FOUR_GPUS = {"CUDA_VISIBLE_DEVICES": "0,1,2,3", "SLURM_GPUS_ON_NODE": "4"}


def config(**settings: object) -> RunConfig:
    return RunConfig("score.py", **settings)  # type: ignore[arg-type]


def test_nodes_times_processes() -> None:
    assert requested_layout(config(node_count=3, process_count_per_node=4), {}).total == 12


def test_auto_is_one_per_gpu_else_one_per_core() -> None:
    auto = config(process_count_per_node=None, processes_per_gpu=2, node_count=2)
    assert requested_layout(auto, FOUR_GPUS).total == 16
    assert requested_layout(config(process_count_per_node=None, device=Device.CPU), FOUR_GPUS).total == len(
        allowed_cores()
    )
    assert requested_layout(config(process_count_per_node=None, gpus_per_process=2), FOUR_GPUS).total == 2


@pytest.mark.parametrize(
    ("each", "words"),
    [
        (
            3,
            "the 4 GPUs of a node do not divide by that: 1 would be left over. Set `gpus_per_process` to 1, 2 or 4, or",
        ),
        (8, "a node has only 4. Set `gpus_per_process` to 1, 2 or 4, or"),
    ],
)
def test_gpus_that_do_not_divide(each: int, words: str) -> None:
    """Not rounded down in silence: GPUs that nobody uses are paid for."""
    with pytest.raises(UsageError) as error:
        requested_layout(config(process_count_per_node=None, gpus_per_process=each), FOUR_GPUS)
    assert words in str(error.value)


def test_environment_variables_of_the_job_count() -> None:
    narrowed = config(process_count_per_node=None, environment_variables={"CUDA_VISIBLE_DEVICES": "2"})
    assert requested_layout(narrowed, FOUR_GPUS).total == 1


def test_placements_on_this_node() -> None:
    assert [placement.gpus for placement in place_node(config(), 4, FOUR_GPUS)] == [("0",), ("1",), ("2",), ("3",)]
    pairs = place_node(config(gpus_per_process=2), 2, FOUR_GPUS)
    assert [placement.gpus for placement in pairs] == [("0", "1"), ("2", "3")]
    with pytest.raises(UsageError, match="5 executors on this node for 4 GPUs"):
        place_node(config(), 5, FOUR_GPUS)


def test_auto_takes_all_nodes_of_an_allocation() -> None:
    allocation = {"SLURM_JOB_NUM_NODES": "3", **FOUR_GPUS}
    assert requested_layout(config(process_count_per_node=None), allocation).total == 12
    assert requested_layout(config(process_count_per_node=4), allocation).total == 4  # what is written counts


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
def test_layout_warnings(
    ranks: int, asked: int | None, env: dict[str, str], settings: dict[str, int], words: list[str]
) -> None:
    warnings = layout_warnings(ranks, asked, config(**settings), env)
    assert len(warnings) == bool(words)
    assert all(word in warnings[0] for word in words)
