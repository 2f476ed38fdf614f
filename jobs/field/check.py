"""Whether the job's table is what one pass over the whole file gives.

python jobs/field/check.py OUTPUT_FILE
"""

import argparse
import runpy
from pathlib import Path

import h5py
import pandas as pd

HERE = Path(__file__).resolve().parent


def main() -> int:
    run = runpy.run_path(str(HERE / "describe.py"))["run"]
    parser = argparse.ArgumentParser(description="Computes the features in one go and compares.")
    parser.add_argument("output", type=Path, help="the job's output file")
    table = pd.read_parquet(parser.parse_args().output)
    with h5py.File(HERE / "data" / "heat.h5") as file:
        whole = run({name: file[name][:] for name in ("time", "fields/temperature")})
    whole["quarters"] = whole["quarters"].map(tuple)
    table["quarters"] = table["quarters"].map(tuple)
    same = table.equals(whole)
    print(
        f"{len(table)} steps, the hottest {table['hottest'].max():.1f} degrees; {'as' if same else 'NOT as'} expected"
    )
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
