"""Finding the processes of a test by a mark in their environment, wherever they have been reparented to; and doing
without root's privilege to read every file."""

import contextlib
import ctypes
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

MARK = "MPIBATCH_TEST_MARK"


def marked(mark: str) -> Iterator[int]:
    """Processes that live (zombies do not) and have MARK=mark in the environment they were started with."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)
            except OSError:  # it has ended meanwhile
                continue


def is_there(pid: int) -> bool:
    """Whether it lives; a zombie does not."""
    try:
        return b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return "(ended)"


LISTENING = "0A"  # the state's number in /proc/net/tcp


def listening(pid: int) -> dict[str, str]:
    """Addresses on which it waits for TCP connections, by the inodes of the sockets that it has open."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            inodes.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
    found = {}
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == LISTENING and inode in inodes:
                packed = bytes.fromhex(local.partition(":")[0])  # 32-bit words in the machine's own order
                words = [int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4)]
                found[inode] = socket.inet_ntop(family, b"".join(word.to_bytes(4, "big") for word in words))
    return found


def none_left(mark: str, within: float = 5.0, but: Callable[[int], bool] = lambda pid: False) -> None:
    """Fails with the command lines of what is still there after `within` seconds. but: tells those that may be."""
    until = time.monotonic() + within
    while left := [pid for pid in marked(mark) if not but(pid)]:
        if time.monotonic() > until:
            raise AssertionError("still there: " + "; ".join(f"{pid} {command(pid)}" for pid in left))
        time.sleep(0.02)


Result = TypeVar("Result")
CAPABILITIES_VERSION = 0x20080522  # see capset(2)
READ_EVERYTHING = 0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def as_others_read(function: Callable[[], Result]) -> Result:
    """Calls it in a thread that is denied files without the right to be read, root's too."""

    def deny() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        header, sets = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0), (ctypes.c_uint32 * 6)()
        assert libc.capget(header, sets) == 0
        sets[0], sets[1] = sets[0] & ~READ_EVERYTHING, sets[1] & ~READ_EVERYTHING  # effective, permitted
        assert libc.capset(header, sets) == 0

    with ThreadPoolExecutor(1, initializer=deny) as thread:
        return thread.submit(function).result()


def reading_as_others(command: list[str]) -> list[str]:
    """The same for all processes of a command."""
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command] if os.geteuid() == 0 else command
