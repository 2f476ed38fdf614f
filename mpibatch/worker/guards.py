"""What watches one executor and ends it: a phase that takes too long, memory that grows too far, work in vain.

status block --Watchdog--------> PhaseExpired   --+--> ExecutorProcess.kill, and the worker reads here why
/proc --------MemoryMonitor----> MemoryExceeded --+
cgroup -------MemoryMonitor----> KernelKill ------+    maybe of one process of the tree: the others go as well
cancelled mini-batches --end_cancelled--> ExecutorProcess.kill      no fault of anybody's
"""

from collections.abc import Container

from mpibatch.executor.status_block import ExecutorStatus
from mpibatch.types import UNKNOWN
from mpibatch.worker.cgroup import KernelKill
from mpibatch.worker.executor_process import ExecutorProcess
from mpibatch.worker.memory import MemoryExceeded, MemoryMonitor
from mpibatch.worker.settings import WorkerSettings
from mpibatch.worker.watchdog import TASK_PHASES, PhaseExpired, Watchdog


class Guards:
    """The threads that watch `executor`, from its start until `stop`.

    expired, exceeded: what it was ended for
    """

    def __init__(self, executor: ExecutorProcess, settings: WorkerSettings) -> None:
        self._executor = executor
        self.expired: PhaseExpired | None = None
        self.exceeded: MemoryExceeded | KernelKill | None = None
        self._ended_cancelled = False
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

    def end_cancelled(self, indices: Container[int]) -> None:
        """Ends the executor if it is at one of these mini-batches, which others have finished."""
        status = self._executor.status_block.read()
        if status is not None and status.index in indices and status.phase in TASK_PHASES:
            self._ended_cancelled = True
            self._executor.kill(f"mini-batch {status.index} was finished by another rank")

    def at_fault(self, expected: bool) -> tuple[ExecutorStatus | None, bool]:
        """After its end: where it was, None where that is not to blame; and whether an end was to be expected."""
        status = self._executor.status_block.read()
        if self._ended_cancelled:
            return None, True
        if self.expired is not None and status is not None and not self.expired.is_at(status):
            # what had expired came back by itself just before the kill: what came next is not to blame
            return None, expected or self.expired.index != UNKNOWN
        return status, expected

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
