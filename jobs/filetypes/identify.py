"""Says what files hold, by Google's magika: a small network over their first and last bytes."""

from pathlib import Path

import pandas as pd
from magika import Magika

magika: Magika


def init() -> None:
    """Called once per executor: loads the network."""
    global magika  # noqa: PLW0603  # what the script holds between calls
    magika = Magika()


def run(mini_batch: list[str]) -> pd.DataFrame:
    """One row of output per file."""
    found = magika.identify_paths([Path(path) for path in mini_batch])
    return pd.DataFrame(
        {
            "file": [Path(path).name for path in mini_batch],
            "label": [result.output.label for result in found],
            "mime_type": [result.output.mime_type for result in found],
            "is_text": [result.output.is_text for result in found],
            "score": [round(float(result.score), 3) for result in found],
        }
    )
