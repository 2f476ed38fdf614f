"""What the cores, the memory and the GPUs of a node do, every few seconds, to resources/<host>.csv.

Columns: `time` (seconds since the epoch), `cpu_percent` (of all cores, 0 to 100), `memory_bytes` (what new programs
could not have), `memory_total_bytes`, and where NVIDIA's library finds GPUs `gpu_percent` (mean of all),
`gpu_memory_bytes` and `gpu_memory_total_bytes` (sums).
"""

import contextlib
import ctypes
import time
from typing import Any

from mpibatch.runs.directory import RunDirectory

COLUMNS = ("time", "cpu_percent", "memory_bytes", "memory_total_bytes")
GPU_COLUMNS = ("gpu_percent", "gpu_memory_bytes", "gpu_memory_total_bytes")


class NodeSampler:
    """One row a call, to the file of `host`."""

    def __init__(self, directory: RunDirectory, host: str) -> None:
        self._directory = directory
        self._path = directory.resources / f"{host}.csv"
        self._gpus: list[Any] | None = None

    def __call__(self) -> None:
        """Raises OSError where the file cannot be written."""
        import psutil  # here, in a thread: the run need not wait for it

        if self._gpus is None:
            self._gpus = _gpus()
            self._directory.make_parent(self._path)
            if not self._path.exists():
                self._path.write_text(",".join(COLUMNS + GPU_COLUMNS) + "\n", encoding="ascii")
            psutil.cpu_percent()  # the first call has nothing to compare with
            return
        memory = psutil.virtual_memory()
        used = memory.total - memory.available
        row = [f"{time.time():.3f}", psutil.cpu_percent(), used, memory.total, *_sample(self._gpus)]
        with self._path.open("a", encoding="ascii") as file:
            file.write(",".join(map(str, row)) + "\n")


def _gpus() -> list[Any]:
    """NVML's handles; none where there is no GPU or no library of it."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")  # most nodes have none, and the import takes a twentieth of a second
        import pynvml

        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except Exception:  # NVML's own exceptions, or no such module
        return []


def _sample(gpus: list[Any]) -> list[object]:
    """The GPU columns, empty where there is nothing to say."""
    if gpus:
        import pynvml

        with contextlib.suppress(pynvml.NVMLError):
            memory = [pynvml.nvmlDeviceGetMemoryInfo(gpu) for gpu in gpus]
            busy = [pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu for gpu in gpus]
            return [sum(busy) / len(busy), sum(one.used for one in memory), sum(one.total for one in memory)]
    return ["", "", ""]
