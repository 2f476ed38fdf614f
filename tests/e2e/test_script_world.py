"""The script's process is what `python script.py` would give it."""

import os

import pytest

from tests.conftest import Job

pytestmark = pytest.mark.processes


def test_what_a_script_expects_of_its_process(job: Job) -> None:
    """Its own logging, the exit status of a child that it forks, OMPI_ALLOW_ variables, a sitecustomize that prints."""
    script = """
    import logging
    logging.basicConfig(level=logging.DEBUG, filename="mine.log")
    def run(mini_batch):
        logging.debug("seen")
        pid = os.fork()
        if pid == 0:
            sys.exit(7)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return [f"{status} {os.environ['OMPI_ALLOW_ANYTHING']}"]
    """
    job.write(script, 1)
    site = job.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("print('welcome')\n")
    path = f"{site}:{os.environ['PYTHONPATH']}"
    done = job.run(ranks=2, variables={"OMPI_ALLOW_ANYTHING": "yes", "PYTHONPATH": path})
    assert done.status == 0, done.said()
    assert done.rows == ["7 yes"]
    assert "seen" in (job.folder / "mine.log").read_text()
    logs = [path.read_text() for path in (done.run_dir / "logs/user/entry_script_log").rglob("*") if path.is_file()]
    assert any("seen" in text for text in logs)


def test_what_argparse_says_is_shown(job: Job) -> None:
    """The reason was `SystemExit: 2`."""
    script = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    arguments = parser.parse_args()
    def run(mini_batch): return mini_batch
    """
    job.write(script, 1)
    done = job.run(ranks=1)
    assert done.status == 3, done.said()
    assert "required: --model" in done.said()
