"""The version of MPI, found in a process of its own, so that the caller does not load MPI.

`python -m mpibatch.mpi.probe`         the version of the library that mpi4py finds, without MPI_Init
`python -m mpibatch.mpi.probe world`   as a rank: `rank R of N on HOST`
"""

import os
import sys

from mpibatch.cluster.environment import VERSION_MARK


def main() -> None:
    import mpi4py

    world = sys.argv[1:] == ["world"]
    mpi4py.rc.initialize = world
    from mpi4py import MPI

    if world:
        line = f"rank {MPI.COMM_WORLD.Get_rank()} of {MPI.COMM_WORLD.Get_size()} on {os.uname().nodename}\n"
        os.write(1, line.encode())  # in one piece: print writes the newline by itself where PYTHONUNBUFFERED is set
    else:
        # marked, since a sitecustomize may print, too
        print(f"{VERSION_MARK}{MPI.Get_library_version().strip().splitlines()[0].strip()}")


if __name__ == "__main__":
    main()
