"""A script that prints without end does not fill the disk."""

import os
from pathlib import Path

from mpibatch.worker.log_limit import LogLimit


def test_a_file_that_is_too_long_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    """Two million lines, by a writer that appends and goes on appending."""
    path = tmp_path / "rank0.txt"
    with path.open("ab", buffering=0) as script:
        script.write(b"".join(b"line %d\n" % number for number in range(2_000_000)))
        LogLimit([path, tmp_path / "missing"], limit=1 << 20, head=1 << 16, tail=1 << 16)()
        script.write(b"the last words\n")
    lines = path.read_text().splitlines()
    assert os.path.getsize(path) < 1 << 18
    assert lines[0] == "line 0"
    assert lines[-2:] == ["line 1999999", "the last words"]
    (notice,) = [line for line in lines if line.startswith("mpibatch:")]
    assert "bytes are left out here" in notice
    assert all(line.startswith(("line ", "mpibatch:", "the last")) for line in lines if line)


def test_a_file_that_is_short_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rank0.txt"
    path.write_text("short\n")
    LogLimit([path])()
    assert path.read_text() == "short\n"
