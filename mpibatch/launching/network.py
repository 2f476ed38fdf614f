"""Over what the ranks of a run reach each other, and with it for whom they listen.

    one host       --> shared memory: no rank opens a port, and no network layer is set up, which takes a second
    several hosts  --> the network in which Slurm reaches the nodes, where all of them are in one
                       node names --scontrol--> addresses; interfaces of this host --psutil--> networks

What the user has set for MPI comes first.
"""

import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network

from mpibatch.cluster.slurm import Runner, run
from mpibatch.launching.mpi_installation import Family, MpiInstallation


def network_flags(
    mpi: MpiInstallation, nodes: Sequence[str], env: Mapping[str, str], run: Runner = run
) -> tuple[str, ...]:
    """Words for mpirun. nodes: names of several; () for this host alone."""
    if mpi.family is not Family.OPEN_MPI:
        return () if nodes else (*_settings("-genv", {"UCX_TLS": "self,sm"}, env, "UCX_TLS", "UCX_NET_DEVICES"),)
    if not nodes:
        shared_memory = "sm" if mpi.has_ulfm else "vader"  # what Open MPI 4 calls it
        return (
            *_settings("--mca", {"btl": f"self,{shared_memory}"}, env, "OMPI_MCA_btl"),
            *_settings("--mca", {"mtl": "^ofi"}, env, "OMPI_MCA_mtl"),
        )
    network = shared_network(nodes, run)
    if network is None:
        return ()
    return (
        *_settings(
            "--mca",
            {"btl_tcp_if_include": str(network)},
            env,
            "OMPI_MCA_btl_tcp_if_include",
            "OMPI_MCA_btl_tcp_if_exclude",
        ),
        *_settings("--prtemca", {"prte_if_include": str(network)} if mpi.has_ulfm else {}, env,
                   "PRTE_MCA_prte_if_include", "PRTE_MCA_prte_if_exclude"),
    )  # fmt: skip


def _settings(flag: str, values: Mapping[str, str], env: Mapping[str, str], *users: str) -> Iterator[str]:
    """`flag NAME VALUE` of each, unless one of the variables `users` is set."""
    if not any(name in env for name in users):
        for name, value in values.items():
            yield from (flag, name, value)


def shared_network(nodes: Sequence[str], run: Runner = run) -> IPv4Network | None:
    """The network of this host in which Slurm has the addresses of all `nodes`; None where there is no such one."""
    with suppress(OSError, subprocess.TimeoutExpired, ValueError):
        shown = run(["scontrol", "--oneliner", "show", "node", ",".join(nodes)]).stdout
        named = [word.partition("=")[2] for word in shown.split() if word.startswith("NodeAddr=")]
        addresses = [IPv4Address(socket.gethostbyname(name)) for name in named]
        for network in _own_networks():
            if len(addresses) == len(nodes) and all(address in network for address in addresses):
                return network
    return None


def _own_networks() -> Iterator[IPv4Network]:
    import psutil  # only where there are several hosts

    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family is socket.AF_INET and address.netmask:
                network = IPv4Network(f"{address.address}/{address.netmask}", strict=False)
                if not network.is_loopback and network.prefixlen < 32:
                    yield network
