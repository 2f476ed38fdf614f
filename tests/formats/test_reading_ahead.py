"""Reading ahead as a whole run sees it, and what copies of remote files leave behind."""

import pandas as pd
import pytest

from mpibatch.errors import ExitStatus
from tests.formats.conftest import JobFolder

pytestmark = pytest.mark.processes

# While mini-batch 4 is loaded, in whatever thread, the executor dies.
POISON = """\
import ctypes
import time

from mpibatch.datasets.parquet import ParquetDataset

plain = ParquetDataset.load


def load(self, payload):
    loaded = plain(self, payload)
    if loaded.value["x"].iloc[0] == 40:
        ctypes.string_at(0)
    return loaded


ParquetDataset.load = load


def run(mini_batch):
    time.sleep(0.05)
    return mini_batch["x"]
"""


@pytest.mark.ci
def test_a_mini_batch_that_cannot_be_loaded_costs_no_other(folder: JobFolder) -> None:
    """The one beside which it was read is blamed for the crash, and then gets its next try alone."""
    pd.DataFrame({"x": range(100)}).to_parquet(folder.path / "t.parquet")
    folder.script(POISON)
    table = {"t": {"type": "parquet", "path": "t.parquet"}}
    ended = folder.run_through(2, table, mini_batch_size="10 rows", error_threshold=10, run_max_try=2)
    assert ended.summary["items"] == {"total": 100, "succeeded": 90, "failed": 10, "estimated": 0}
    (failed,) = ended.failed
    assert (failed["mini_batch"], failed["rows"], failed["cause"]) == (4, [40, 50], "executor_crash")
    assert "loading mini-batch 4" in failed["error"]


@pytest.mark.ci
def test_copies_of_remote_files_go_with_their_executor(folder: JobFolder) -> None:
    """Also where it is killed, or ends itself, in the middle of a mini-batch: nobody else would delete them."""
    (folder.path / "data").mkdir()
    for name in "abcdef":
        (folder.path / "data" / name).write_text(name)
    temporary = folder.path / "local"
    temporary.mkdir()
    folder.script(
        "import os, tempfile\n"
        "def run(mini_batch):\n"
        f"    assert mini_batch[0].startswith(tempfile.gettempdir()) and {str(temporary)!r} in mini_batch[0]\n"
        "    if mini_batch[0].endswith('c'):\n"
        "        os._exit(1)\n"
        "    return [open(path).read() for path in mini_batch]\n"
    )
    files = {"f": {"type": "files", "path": f"local://{folder.path}/data/*"}}
    temporaries = {"TMPDIR": str(temporary)}
    ended = folder.run(2, files, mini_batch_size=1, error_threshold=1, environment_variables=temporaries)
    assert ended.status == ExitStatus.COMPLETE, ended.said
    assert ended.output == b"a\nb\nd\ne\nf\n"
    assert not list(temporary.iterdir())
