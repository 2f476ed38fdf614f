"""What an aborted run leaves: everything that was known."""

import pytest

from tests.conftest import HEAD, Job

pytestmark = pytest.mark.processes


@pytest.mark.ci
def test_failures_behind_a_mini_batch_that_is_under_way_are_in_failed_items(job: Job) -> None:
    """failed_items.jsonl was empty: mini-batch 1 failed, and aborted the run, while 0 was under way."""
    script = """
    def run(mini_batch):
        if names(mini_batch) == ["0000"]:
            while not os.path.exists("go"):
                time.sleep(0.01)
            return mini_batch
        raise ValueError("bad")
    """
    job.write(script, 2, run_max_try=1)
    done = job.run(ranks=2)
    assert done.status == 3, done.said()
    assert [failed["mini_batch"] for failed in done.failed] == [1]
    (job.folder / "go").touch()
    resumed = job.finish(job.command("resume", done.run_dir, "--set", "error_threshold=-1", ranks=2), done.run_dir)
    assert resumed.status == 0, resumed.said()
    assert [failed["mini_batch"] for failed in resumed.failed] == [1], "the failure stands there once"
    assert len(resumed.rows) == 1


def test_a_typo_is_mended_and_the_run_goes_on(job: Job) -> None:
    """An aborted run was aborted again by the failures of the script as it had been."""
    script = "def run(mini_batch):\n    return [name{} for name in names(mini_batch)]\n"
    job.write(script.format(".uper()"), 6, run_max_try=1)
    aborted = job.run(ranks=1)
    assert aborted.status == 3, aborted.said()
    assert f"mpibatch resume {aborted.run_dir} --retry-failed" in aborted.stdout
    resume = job.command("resume", aborted.run_dir, ranks=1)
    same = job.finish(resume, aborted.run_dir)
    assert same.status == 3, same.said()

    (job.folder / "score.py").write_text(HEAD + script.format(".upper()"))
    mended = job.finish(resume, aborted.run_dir)
    assert mended.status == 0, mended.said()
    assert mended.rows == [f"{number:04}" for number in range(6)]
    assert mended.failed == []
    assert "the script has changed since row 0 (score.py)" in mended.stdout
    assert "failed by the script's error are run again, since the script has changed" in mended.stdout
    assert mended.summary["changes"] == ["the script has changed since row 0 (score.py)"]
    assert "the script has changed since row 0" in (mended.run_dir / "report.html").read_text()


@pytest.mark.ci
def test_init_that_fails_on_every_rank_is_not_tried_again_and_again(job: Job) -> None:
    """Three tries on each of a thousand ranks, each with a model to load, were a night in which nothing could come."""
    script = """
    def init():
        time.sleep(0.5)
        with open("tries", "a") as file:
            print(os.getpid(), file=file)
        raise ValueError("no weights")

    def run(mini_batch):
        return mini_batch
    """
    job.write(script, 4)
    done = job.run(ranks=2)
    assert done.status == 3, done.said()
    assert "init() failed on all of 2 ranks by the same error. The first failure: ValueError: no weights" in done.said()
    assert 2 <= len((job.folder / "tries").read_text().splitlines()) < 6
