"""Made this folder's data: a simulation of heat that spreads in a plate with a source that moves in a circle.

    python jobs/field/prepare.py

data/heat.h5 has `time` (seconds) and `fields/temperature` (steps x 24 x 24), in chunks of 20 steps, compressed.
"""

from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).resolve().parent
STEPS, SIZE, CHUNK = 300, 24, 20
SPREAD, LOSS, SUBSTEPS = 0.2, 0.002, 10


def main() -> None:
    row, column = np.mgrid[:SIZE, :SIZE]
    field = np.full((SIZE, SIZE), 20.0)
    fields = np.empty((STEPS, SIZE, SIZE), dtype="float32")
    for step in range(STEPS):
        angle = 2 * np.pi * step / 120
        middle = SIZE / 2 + SIZE / 4 * np.array([np.sin(angle), np.cos(angle)])
        source = np.exp(-((row - middle[0]) ** 2 + (column - middle[1]) ** 2) / 4)
        for _ in range(SUBSTEPS):
            edge = np.pad(field, 1, mode="edge")
            around = edge[:-2, 1:-1] + edge[2:, 1:-1] + edge[1:-1, :-2] + edge[1:-1, 2:]
            field = field + SPREAD * (around - 4 * field) + source - LOSS * (field - 20)
        fields[step] = field
    (HERE / "data").mkdir(exist_ok=True)
    with h5py.File(HERE / "data" / "heat.h5", "w") as file:
        file.create_dataset("time", data=np.arange(STEPS) * 0.5, chunks=(CHUNK,))
        file.create_dataset(
            "fields/temperature",
            data=fields.round(2),
            chunks=(CHUNK, SIZE, SIZE),
            compression="gzip",
            shuffle=True,
        )


if __name__ == "__main__":
    main()
