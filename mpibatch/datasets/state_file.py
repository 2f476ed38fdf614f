"""What the datasets of a run have found out while they planned, in a file that every executor reads.

    rank 0:  Dataset.dump_state of each input --write_states--> dataset_states.bin
    executors, and rank 0 of a resume:  load_states --> Dataset.load_state

It may be large: keyed tables keep tens of bytes for each block of their files. So it is in no message, and no rank
keeps it.
"""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from mpibatch.datasets.base import Dataset
from mpibatch.errors import RunDirectoryError
from mpibatch.files import replacing, write_error

HEAD = struct.Struct("<QI")  # of each state: its length and its CRC-32


def write_states(path: Path, datasets: Sequence[Dataset]) -> None:
    """Makes `path`, durably, and reads it back: what cannot be read would be missed by executors, and by a resume.

    Raises RunDirectoryError.
    """
    try:
        with replacing(path) as file:
            for dataset in datasets:
                state = dataset.dump_state()
                file.write(HEAD.pack(len(state), zlib.crc32(state)))
                file.write(state)
    except OSError as error:
        raise write_error(path, error) from error
    _read(path, len(datasets))


def load_states(path: Path, datasets: Sequence[Dataset]) -> None:
    """Each dataset takes what it had found out. Raises RunDirectoryError where the file is missing or damaged."""
    for dataset, state in zip(datasets, _read(path, len(datasets)), strict=True):
        dataset.load_state(state)


def _read(path: Path, number: int) -> list[bytes]:
    states: list[bytes] = []
    try:
        with path.open("rb") as file:
            for _ in range(number):
                length, crc = HEAD.unpack(file.read(HEAD.size))
                states.append(file.read(length))
                if len(states[-1]) != length or zlib.crc32(states[-1]) != crc:
                    raise ValueError("it has other bytes than were written")
    except struct.error as error:
        raise RunDirectoryError(f"cannot read {path}: it is cut off") from error
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"cannot read {path}: {error}") from error
    return states
