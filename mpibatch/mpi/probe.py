"""`python -m mpibatch.mpi.probe`: prints the version of the MPI library that mpi4py finds, without MPI_Init.

A process of its own, so that whoever asks does not load MPI.
"""


def main() -> None:
    import mpi4py

    mpi4py.rc.initialize = False
    from mpi4py import MPI

    print(MPI.Get_library_version())


if __name__ == "__main__":
    main()
