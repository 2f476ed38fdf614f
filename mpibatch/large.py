"""Rows of a mini-batch that are large: each process that they pass holds them once.

    executor: parts --writev--> pipe --readv--> rank: a buffer --Isend--> --Irecv--> rank 0: a buffer --writev--> log

What is small is joined with others, since a call each would cost more than the copy does.
"""

import mmap

LARGE_BYTES = 8 << 20

RowData = bytes | memoryview
"""Row bytes and failure bytes: `bytes`, or part of a buffer of their own."""


def new_buffer(size: int) -> memoryview:
    """Memory for `size` bytes that the system gives as it is filled.

    A bytearray would be zeroed first, and with gigabytes no other thread of the rank would go on meanwhile.
    """
    if not size:
        return memoryview(bytearray())  # mmap(2) takes no length of 0
    return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
