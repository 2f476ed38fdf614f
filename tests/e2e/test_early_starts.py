"""Executors start while rank 0 still plans, and end where no run comes of it."""

import os
from textwrap import dedent

import pytest

from tests.conftest import ROOT, Job
from tests.processes import none_left

pytestmark = pytest.mark.processes

SCRIPT = """
def init():
    open(f"ready{os.environ['MPIBATCH_RANK']}", "w").close()
def run(mini_batch):
    return names(mini_batch)
"""


def plans_when_all_are_ready(job: Job, then: str) -> dict[str, str]:
    """Variables with which rank 0 does `then` as soon as init() has run on both ranks, and not before."""
    (job.folder / "site").mkdir()
    (job.folder / "site" / "sitecustomize.py").write_text(
        dedent(
            f"""
            import os, pathlib, sys, time
            if "mpibatch.mpi" in sys.orig_argv:
                from mpibatch.planning.plan import Plan
                build = Plan.build

                def late(datasets, parallel_map):
                    while len(list(pathlib.Path({os.fspath(job.folder)!r}).glob("ready*"))) < 2:
                        time.sleep(0.05)
                    {then}

                Plan.build = staticmethod(late)
            """
        )
    )
    return {"PYTHONPATH": os.pathsep.join([str(job.folder / "site"), str(ROOT)])}


def test_models_are_loaded_while_the_plan_is_made(either_mpi: Job) -> None:
    """A plan that waits for them would otherwise wait for ever; what ranks say meanwhile is not lost."""
    job = either_mpi
    job.write(SCRIPT, 20)
    done = job.run(ranks=2, variables=plans_when_all_are_ready(job, "return build(datasets, parallel_map)"))
    assert done.status == 0, done.said()
    assert done.rows == [f"{number:04}" for number in range(20)]
    assert done.summary["executors"]["started"] == 2


@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.ci)])
def test_a_plan_that_cannot_be_made_ends_them(ranks: int, job: Job) -> None:
    """In the words of what was wrong, and as a mistake of the job file."""
    job.write(SCRIPT, 20)
    wrong = "from mpibatch.errors import InputError; raise InputError('the folder is gone')"
    done = job.run(ranks=ranks, variables=plans_when_all_are_ready(job, wrong))
    assert done.status == 2, done.said()
    assert "the folder is gone" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    none_left(job.mark)


def test_an_executor_that_fails_meanwhile_is_told_of(job: Job) -> None:
    """Its init() had failed before anybody listened."""
    job.write(SCRIPT.replace("def run", "    raise ValueError('no weights')\ndef run"), 20)
    done = job.run(ranks=2, variables=plans_when_all_are_ready(job, "return build(datasets, parallel_map)"))
    assert done.status == 3, done.said()
    assert "no weights" in done.stdout + done.stderr
