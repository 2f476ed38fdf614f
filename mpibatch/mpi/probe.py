"""What MPI says of itself, in a process of its own, so that whoever asks does not load MPI.

`python -m mpibatch.mpi.probe`         the version of the library that mpi4py finds, without MPI_Init
`python -m mpibatch.mpi.probe world`   as a rank: `rank R of N on HOST`
"""

import os
import sys


def main() -> None:
    import mpi4py

    world = sys.argv[1:] == ["world"]
    mpi4py.rc.initialize = world
    from mpi4py import MPI

    if world:
        print(f"rank {MPI.COMM_WORLD.Get_rank()} of {MPI.COMM_WORLD.Get_size()} on {os.uname().nodename}")
    else:
        print(MPI.Get_library_version())


if __name__ == "__main__":
    main()
