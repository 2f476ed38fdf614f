"""One peer at work, in a process of its own: see peers.py.

    python -m benchmarks.peer_main NAME RANKS WORK ANSWER ROWS

Its processes are up, and have done a little of the work, before the clock starts. It goes on until the last row is in a
file, in the order of the items.
"""

import importlib
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

Function = Callable[[Any], list[str]]
MapItems = Callable[[Sequence[Any]], Iterable[list[str]]]
WARM_UP = 50  # items


@contextmanager
def pool(function: Function, ranks: int) -> Iterator[MapItems]:
    with multiprocessing.get_context("spawn").Pool(ranks) as processes:
        yield lambda items: processes.imap(function, items, chunksize=1)


@contextmanager
def mpi4py_futures(function: Function, ranks: int) -> Iterator[MapItems]:
    from mpi4py.futures import MPIPoolExecutor

    with MPIPoolExecutor(ranks) as processes:
        yield lambda items: processes.map(function, items)


@contextmanager
def dask(function: Function, ranks: int) -> Iterator[MapItems]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=ranks, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(ranks)
        yield lambda items: (future.result() for future in client.map(function, items, pure=False))


@contextmanager
def ray(function: Function, ranks: int) -> Iterator[MapItems]:
    import ray

    ray.init(num_cpus=ranks, include_dashboard=False, log_to_driver=False, configure_logging=False)
    remote = ray.remote(function)
    try:
        yield lambda items: map(ray.get, [remote.remote(item) for item in items])
    finally:
        ray.shutdown()


PEERS = {"multiprocessing": pool, "mpi4py.futures": mpi4py_futures, "Dask": dask, "Ray": ray}


def seconds_of(map_items: MapItems, items: Sequence[Any], output: Path) -> float:
    began = time.perf_counter()
    with output.open("w") as file:
        for rows in map_items(items):
            file.writelines(row + "\n" for row in rows)
    return time.perf_counter() - began


def by_peer(
    name: str, function: Function, series: Sequence[Sequence[Any]], ranks: int, limit: float, output: Path
) -> Iterator[float]:
    with PEERS[name](function, ranks) as map_items:
        list(map_items([*series[0][:WARM_UP]] * ranks))
        for items in series:
            seconds = seconds_of(map_items, items, output)
            yield seconds
            if seconds > limit:
                return


def plain_loop(function: Function, items: Sequence[Any], together: Barrier) -> None:
    for item in items[:WARM_UP]:
        function(item)
    together.wait()
    for item in items:
        function(item)
    together.wait()


def by_loops(function: Function, items: Sequence[Any], ranks: int) -> float:
    """One a process, each with its share; until the last has done."""
    together = multiprocessing.Barrier(ranks + 1)
    loops = [
        multiprocessing.Process(target=plain_loop, args=(function, items[number::ranks], together))
        for number in range(ranks)
    ]
    for loop in loops:
        loop.start()
    together.wait()
    began = time.perf_counter()
    together.wait()
    seconds = time.perf_counter() - began
    for loop in loops:
        loop.join()
    return seconds


def main() -> None:
    name, ranks, work = sys.argv[1], int(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())
    module, qualified = work["function"]
    function: Function = getattr(importlib.import_module(module), qualified)
    if name == "plain loops":
        seconds = [by_loops(function, items, ranks) for items in work["series"]]
    else:
        seconds = list(by_peer(name, function, work["series"], ranks, work["limit"], Path(sys.argv[5])))
    Path(sys.argv[4]).write_text(json.dumps(seconds))


if __name__ == "__main__":
    main()
