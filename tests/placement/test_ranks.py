"""How many ranks a job asks for, and their places on a node like this one."""

import pytest

from mpibatch.config.schema import Device, ParallelRunConfig
from mpibatch.errors import UsageError
from mpibatch.placement.place import allowed_cores
from mpibatch.placement.ranks import node_places, wanted_ranks

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
