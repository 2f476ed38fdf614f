"""What listens while a run goes on, and over which network ranks reach each other."""

import os
import socket
import subprocess
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from subprocess import CompletedProcess

import psutil
import pytest

from mpibatch.launching.mpi_installation import Family, MpiInstallation
from mpibatch.launching.network import network_flags, shared_network
from tests.conftest import Job, wait_for
from tests.processes import command, listening

OPEN_MPI = MpiInstallation(Family.OPEN_MPI, "Open MPI v5.0.11", "/bin/mpirun")
SLOW = """
def run(mini_batch):
    Path(f"begun{os.environ['MPIBATCH_RANK']}").touch()
    time.sleep(0.2)
    return names(mini_batch)
"""
OF_LAUNCHERS = ("prterun", "mpirun", "hydra_pmi_proxy", "mpiexec")
"""They listen on all addresses whatever one sets: PRRTE 3 and hydra bind no other."""


@pytest.mark.processes
def test_no_rank_on_one_host_listens_for_others(either_mpi: Job) -> None:
    """Each rank did on a port of its own; nor does anything else that mpibatch starts but MPI's own launcher."""
    job = either_mpi
    job.write(SLOW, 20)
    found: dict[str, dict[str, str]] = {}

    def look(process: "subprocess.Popen[str]", run_dir: Path) -> None:
        wait_for(lambda: len(list(job.folder.glob("begun*"))) == 2)
        found.update({f"{pid} {command(pid)}": listening(pid) for pid in job.processes()})

    done = job.run(ranks=2, meanwhile=look)
    assert done.status == 0, done.said()
    launchers = {words for words in found if Path(words.split()[1]).name in OF_LAUNCHERS}
    assert len(found) - len(launchers) > 6, "ranks, executors, and their helpers"
    inherited = {inode for words in launchers for inode in found[words]}  # hydra's, which ranks have open too
    for words in found.keys() - launchers:
        own = {inode: address for inode, address in found[words].items() if inode not in inherited}
        assert set(own.values()) <= {"127.0.0.1", "::1"}, words


def test_what_the_user_has_set_comes_first() -> None:
    assert "btl" in network_flags(OPEN_MPI, (), {})
    assert "btl" not in network_flags(OPEN_MPI, (), {"OMPI_MCA_btl": "tcp,self"})
    mpich = MpiInstallation(Family.MPICH, "MPICH", "/bin/mpirun")
    assert network_flags(mpich, (), {"UCX_TLS": "all"}) == ()
    assert network_flags(mpich, ("n1", "n2"), {}) == ()


class Slurm:
    """Has these addresses of nodes."""

    def __init__(self, *addresses: str) -> None:
        self.shown = "\n".join(f"NodeName=n{address} NodeAddr={address} State=IDLE" for address in addresses)

    def __call__(self, command: list[str]) -> "CompletedProcess[str]":
        assert command[:2] == ["scontrol", "--oneliner"]
        return CompletedProcess(command, 0, self.shown, "")


def test_between_hosts_it_is_the_network_that_slurm_knows() -> None:
    """One of this host's, in which all nodes are; else Open MPI chooses."""
    networks = [
        IPv4Network(f"{address.address}/{address.netmask}", strict=False)
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family is socket.AF_INET and not IPv4Address(address.address).is_loopback
    ]
    wide = [network for network in networks if network.prefixlen < 32]
    for network in wide:
        near = Slurm(str(network[1]), str(network[2]))
        assert shared_network(("n1", "n2"), near) == network
        assert network_flags(OPEN_MPI, ("n1", "n2"), {}, near)[:3] == ("--mca", "btl_tcp_if_include", str(network))
        assert shared_network(("n1", "n2"), Slurm(str(network[1]), "203.0.113.7")) is None
        assert shared_network(("n1", "n2"), Slurm(str(network[1]))) is None, "of one nothing is known"
    assert shared_network(("n1", "n2"), Slurm("127.0.0.1", "127.0.0.2")) is None
    assert shared_network(("n1",), Slurm("no such host at all.")) is None
    assert os.environ.get("MPIBATCH_REQUIRE_ALL") != "1" or wide
