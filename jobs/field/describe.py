"""Features of temperature fields: extremes and where they are, unevenness, a coarse picture."""

import numpy as np
import pandas as pd


def run(mini_batch: dict[str, np.ndarray]) -> pd.DataFrame:
    """`mini_batch` has an array per dataset, named as in the job file; the first axis is the step."""
    field = mini_batch["fields/temperature"].astype("float64")
    steps, height, width = field.shape
    flat = field.reshape(steps, -1)
    row, column = np.unravel_index(flat.argmax(axis=1), (height, width))
    down, right = np.gradient(field, axis=(1, 2))
    coarse = field.reshape(steps, 2, height // 2, 2, width // 2).mean(axis=(2, 4)).reshape(steps, 4)
    return pd.DataFrame(
        {
            "time": mini_batch["time"],
            "mean": flat.mean(axis=1),
            "hottest": flat.max(axis=1),
            "hottest_row": row,
            "hottest_column": column,
            "unevenness": np.sqrt((down**2 + right**2).mean(axis=(1, 2))),
            "quarters": coarse.tolist(),  # a list per row
        }
    )
