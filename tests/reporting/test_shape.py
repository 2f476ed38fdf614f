"""What validate prints."""

from pathlib import Path

from mpibatch.config.load import job_from_data
from mpibatch.placement.place import Placement
from mpibatch.placement.ranks import Ranks
from mpibatch.reporting.shape import describe
from mpibatch.runs.check import check


def text(folder: Path, places: list[Placement] | str, ranks: Ranks) -> str:
    (folder / "score.py").write_text("def run(mini_batch):\n    return mini_batch\n")
    for number in range(5):
        (folder / f"{number}\n.txt").write_text("")
    config = {"entry_script": "score.py", "mini_batch_size": 4, "run_max_try": 1, "allowed_failed_percent": 5}
    inputs = {name: {"type": "files", "path": "*.txt"} for name in ("first", "second")}
    data = {"name": "shaped", "inputs": inputs, "parallel_run_config": config, "parameters": {"size": 3}}
    return describe(check(job_from_data(data, str(folder / "job.yaml")), "job.yaml"), "job.yaml", ranks, places)


def test_the_plan_the_settings_and_the_ranks(tmp_path: Path) -> None:
    places = [Placement("1", "CUDA_VISIBLE_DEVICES", (rank,), 1) for rank in range(9)]
    said = text(tmp_path, places, Ranks(2, 9))
    for line in (
        "job.yaml: valid\n",
        "input first     5 items in 2 mini-batches of 1 to 4\n",
        f"mini-batch 2 begins with {str(tmp_path / '0')!r}"[:-1] + "\\n.txt'\n",
        "and 1 more\n",
        "in all          4 mini-batches\n",
        "parameters      size = 3\n",
        "1 try of a mini-batch\n",
        "0 failed items, 5% of the mini-batches\n",
        "18 by default: node_count 2 x process_count_per_node 9\n",
        "only 4 of them would have work",
        "local rank 0: cores 0, GPU 1\n",
        "and 1 more on the same node",
    ):
        assert line in said
    assert all(line.isprintable() for line in said.splitlines())


def test_no_place_for_the_ranks(tmp_path: Path) -> None:
    assert "a machine like this one has no place for them: no GPU" in text(tmp_path, "no GPU", Ranks(1, 1))
