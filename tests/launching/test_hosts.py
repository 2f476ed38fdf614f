"""Where ranks go in an allocation, with a Slurm that says what the test wants."""

from subprocess import CompletedProcess, TimeoutExpired

import pytest

from mpibatch.errors import MpibatchError
from mpibatch.launching.hosts import Spread, allocated, spread_again, spread_over
from mpibatch.launching.mpi import Family, Mpi, start_words

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
    assert allocated(ALLOCATION, Slurm()) == NODES
    assert allocated({}, Slurm()) == ()
    assert allocated({**ALLOCATION, "SLURM_JOB_NUM_NODES": "1"}, Slurm()) == ()


def test_ranks_are_spread_evenly() -> None:
    assert spread_over(6, NODES) == Spread(6, 2)
    assert spread_over(7, NODES) == Spread(7, 3)
    assert spread_over(6, ()) is None


def test_a_restart_is_on_the_nodes_that_answer() -> None:
    """Fewer nodes, fewer ranks: what a node runs does not grow."""
    first = Spread(6, 2)
    assert spread_again(first, NODES, Slurm()) == first
    assert spread_again(first, NODES, Slurm(lost="n2")) == Spread(4, 2, ("n1", "n3"))
    assert spread_again(first, NODES, Slurm(lost="n1", hung="n3")) == Spread(2, 2, ("n2",))
    with pytest.raises(MpibatchError, match="none of the nodes n1, n2, n3 answers"):
        spread_again(first, NODES, Slurm(lost="n1 n2 n3"))


@pytest.mark.parametrize(
    ("family", "hosts", "words"),
    [
        (Family.OPEN_MPI, (), "--map-by ppr:2:node:OVERSUBSCRIBE"),
        (Family.OPEN_MPI, ("n1", "n3"), "--map-by ppr:2:node:OVERSUBSCRIBE --host n1:2,n3:2"),
        (Family.MPICH, (), "-ppn 2"),
        (Family.MPICH, ("n1", "n3"), "-ppn 2 -hosts n1,n3"),
    ],
)
def test_what_mpirun_is_told(family: Family, hosts: tuple[str, ...], words: str) -> None:
    told = start_words(Mpi(family, "", "/bin/mpirun"), 4, Spread(4, 2, hosts))
    ours = [word for word in told if word not in ("--bind-to", "none", "--allow-run-as-root")]
    assert ours == ["/bin/mpirun", *words.split(), "-n", "4"]
