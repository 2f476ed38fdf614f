"""What watches one executor and ends it: a phase that takes too long, memory that grows too far.

status block --Watchdog--------> PhaseExpired   --+--> ExecutorProcess.kill, and the worker reads here why
/proc --------MemoryMonitor----> MemoryExceeded --+
cgroup -------MemoryMonitor----> KernelKill ------+    maybe of one process of the tree: the others go as well
"""

from mpibatch.worker.cgroup import KernelKill
from mpibatch.worker.executor_process import ExecutorProcess
from mpibatch.worker.memory import MemoryExceeded, MemoryMonitor
from mpibatch.worker.settings import WorkerSettings
from mpibatch.worker.watchdog import PhaseExpired, Watchdog


class Guards:
    """The threads that watch `executor`, from its start until `stop`.

    expired, exceeded: what it was ended for
    """

    def __init__(self, executor: ExecutorProcess, settings: WorkerSettings) -> None:
        self._executor = executor
        self.expired: PhaseExpired | None = None
        self.exceeded: MemoryExceeded | KernelKill | None = None
        self.memory = MemoryMonitor(executor.tree, settings.memory, self._on_exceeded, self._kernel_kill)
        self._watchdog = Watchdog(executor.status_block.read, settings.timeouts, executor.started, self._on_expired)

    def stop(self) -> None:
        """After the end of the executor, which the kernel may have brought about a moment ago."""
        self._watchdog.stop()
        self.memory.stop()
        if (killed := self._kernel_kill()) is not None:
            self.memory.note_peak(killed.peak)
            self._on_exceeded(killed)
            self._executor.kill_reason = self._executor.kill_reason or f"it {killed}"

    def _kernel_kill(self) -> KernelKill | None:
        cgroup = self._executor.cgroup
        return cgroup.kernel_kill() if cgroup is not None else None

    def _on_expired(self, expired: PhaseExpired) -> None:  # in the watchdog's thread
        if self.exceeded is None:
            self.expired = expired
            self._executor.kill(str(expired), dump=True)

    def _on_exceeded(self, exceeded: MemoryExceeded | KernelKill) -> None:  # in the monitor's thread
        if self.expired is None and self.exceeded is None:
            self.exceeded = exceeded
            self._executor.kill(f"it {exceeded}")
