"""The output and failed_items.jsonl: what is gone on with is what was written, and nobody else writes into it."""

from array import array
from pathlib import Path

import pytest

from mpibatch.runs import checksummed_file
from mpibatch.runs.checksummed_file import BEGINNING, NO_BLOCKS, ChecksummedFile, FileState


@pytest.fixture(params=["copied", "too large to be copied"])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Blocks of ten bytes. Whether what is gone on with is a copy, on a file system that can share no blocks."""
    copied: bool = request.param == "copied"
    monkeypatch.setattr(checksummed_file, "BLOCK_BYTES", 10)
    monkeypatch.setattr(checksummed_file, "COPIED_UP_TO", 1 << 20 if copied else 0)
    monkeypatch.setattr(checksummed_file, "FICLONE", 0)
    return copied


def begun(path: Path) -> ChecksummedFile:
    file = ChecksummedFile(path)
    assert file.restore(BEGINNING, NO_BLOCKS)
    return file


def test_a_late_write_of_the_predecessor_reaches_nobody(tmp_path: Path) -> None:
    """It had asked its lease before it hung in write(2); its bytes lay in the successor's output, unnoticed."""
    old = begun(tmp_path / "out")
    old.write(b"a" * 1000)
    new = ChecksummedFile(tmp_path / "out")
    half = begun(tmp_path / "other")
    half.write(b"a" * 500)
    assert new.restore(half.position, half.blocks)
    new.write(b"b" * 800)
    old.write(b"c" * 100)
    assert (tmp_path / "out").read_bytes() == b"a" * 500 + b"b" * 800
    assert new.damage() == ""
    assert "was replaced" in old.damage()


@pytest.mark.parametrize("pieces", [[b"0123456789" * 3], [b"0123", b"456789012345678901234567", b"89"], [b"x"], []])
def test_it_goes_on_from_any_position(tmp_path: Path, small_blocks: bool, pieces: list[bytes]) -> None:
    first = begun(tmp_path / "out")
    for piece in pieces:
        first.write(piece)
    position, blocks = first.position, first.blocks[:]
    first.write(b"what no checkpoint has")
    second = ChecksummedFile(tmp_path / "out")
    assert second.restore(position, blocks)
    second.write(b"more")
    second.close()
    assert (tmp_path / "out").read_bytes() == b"".join(pieces) + b"more"
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "no copy is left"


@pytest.mark.parametrize("place", [0, 15, 29, 34])
def test_an_edit_is_found_before_or_at_the_end(tmp_path: Path, small_blocks: bool, place: int) -> None:
    """What is too large to be copied is not read at the beginning, but it is in the end."""
    first = begun(tmp_path / "out")
    first.write(b"0123456789" * 3 + b"01234")
    content = bytearray((tmp_path / "out").read_bytes())
    content[place] ^= 1
    (tmp_path / "out").write_bytes(content)
    second = ChecksummedFile(tmp_path / "out")
    gone_on_with = second.restore(first.position, first.blocks)
    assert gone_on_with == (not small_blocks and place < 20)
    if gone_on_with:
        second.write(b"more")
        assert "has other bytes" in second.damage()


def test_a_file_that_is_shorter_or_of_unknown_blocks_is_not_gone_on_with(tmp_path: Path, small_blocks: bool) -> None:
    first = begun(tmp_path / "out")
    first.write(b"0123456789" * 3)
    second = ChecksummedFile(tmp_path / "out")
    assert not second.restore(FileState(31, 0), first.blocks)
    assert not second.restore(first.position, array("I", first.blocks[:2]))
    assert second.restore(first.position, first.blocks)
