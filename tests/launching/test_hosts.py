"""Where ranks go in an allocation, with a Slurm that says what the test wants."""

from subprocess import CompletedProcess, TimeoutExpired

import pytest

from mpibatch.errors import MpibatchError
from mpibatch.launching.hosts import HostLayout, allocation_hosts, lay_out, lay_out_again
from mpibatch.launching.mpi_installation import Family, MpiInstallation
from mpibatch.launching.mpirun import mpirun_command

NODES = ("n1", "n2", "n3")
ALLOCATION = {"SLURM_JOB_NUM_NODES": "3", "SLURM_JOB_NODELIST": "n[1-3]"}


class Slurm:
    """Nodes in `lost` refuse a step, those in `hung` never answer."""

    def __init__(self, lost: str = "", hung: str = "") -> None:
        self.lost, self.hung = lost.split(), hung.split()

    def __call__(self, command: list[str]) -> "CompletedProcess[str]":
        if command[0] == "scontrol":
            assert command == ["scontrol", "show", "hostnames", "n[1-3]"]
            return CompletedProcess(command, 0, "\n".join(NODES) + "\n", "")
        (node,) = [word.partition("=")[2] for word in command if word.startswith("--nodelist=")]
        if node in self.hung:
            raise TimeoutExpired(command, 120)
        return CompletedProcess(command, int(node in self.lost), "", "")


def test_the_nodes_of_an_allocation() -> None:
    assert allocation_hosts(ALLOCATION, Slurm()) == NODES
    assert allocation_hosts({}, Slurm()) == ()
    assert allocation_hosts({**ALLOCATION, "SLURM_JOB_NUM_NODES": "1"}, Slurm()) == ()


def test_ranks_are_laid_out_evenly() -> None:
    assert lay_out(6, NODES) == HostLayout(6, 2)
    assert lay_out(7, NODES) == HostLayout(7, 3)
    assert lay_out(6, ()) is None


def test_a_restart_is_on_the_nodes_that_answer() -> None:
    """Fewer nodes, fewer ranks: what a node runs does not grow."""
    first = HostLayout(6, 2)
    assert lay_out_again(first, NODES, Slurm()) == first
    assert lay_out_again(first, NODES, Slurm(lost="n2")) == HostLayout(4, 2, ("n1", "n3"))
    assert lay_out_again(first, NODES, Slurm(lost="n1", hung="n3")) == HostLayout(2, 2, ("n2",))
    with pytest.raises(MpibatchError, match="none of the nodes n1, n2, n3 answers"):
        lay_out_again(first, NODES, Slurm(lost="n1 n2 n3"))


@pytest.mark.parametrize(
    ("family", "hosts", "words"),
    [
        (Family.OPEN_MPI, (), "--map-by ppr:2:node:OVERSUBSCRIBE"),
        (Family.OPEN_MPI, ("n1", "n3"), "--map-by ppr:2:node:OVERSUBSCRIBE --host n1:2,n3:2"),
        (Family.MPICH, (), "-ppn 2"),
        (Family.MPICH, ("n1", "n3"), "-ppn 2 -hosts n1,n3"),
    ],
)
def test_the_command_of_mpirun(family: Family, hosts: tuple[str, ...], words: str) -> None:
    command = mpirun_command(MpiInstallation(family, "", "/bin/mpirun"), 4, HostLayout(4, 2, hosts))
    ours = [word for word in command if word not in ("--bind-to", "none", "--allow-run-as-root")]
    assert ours == ["/bin/mpirun", *words.split(), "-n", "4"]
