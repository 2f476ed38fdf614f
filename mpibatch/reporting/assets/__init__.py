"""Files that go into the pages of reports as they are."""

from pathlib import Path

_FOLDER = Path(__file__).parent


def read(name: str) -> str:
    """The text of the file `name` of this folder."""
    return (_FOLDER / name).read_text(encoding="utf-8")
