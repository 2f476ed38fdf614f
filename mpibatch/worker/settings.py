"""What a worker gets once: who it is, and what its executors may take."""

from dataclasses import dataclass, field
from typing import Self

from mpibatch.config.choices import ExecutorRestart
from mpibatch.config.schema import RunConfig
from mpibatch.worker.memory import MemoryLimits
from mpibatch.worker.watchdog import PhaseTimeouts


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """One worker's.

    rank, host:               for messages
    timeouts:                 of the watchdog
    max_batches_per_executor: mini-batches after which an executor is replaced, 0 for no limit
    executor_restart:         when an executor is replaced because mini-batches fail in it
    memory:                   of an executor's whole tree
    """

    rank: int
    host: str
    timeouts: PhaseTimeouts
    max_batches_per_executor: int
    executor_restart: ExecutorRestart
    memory: MemoryLimits = field(default_factory=MemoryLimits)

    @classmethod
    def from_config(cls, config: RunConfig, rank: int, host: str) -> Self:
        return cls(
            rank,
            host,
            PhaseTimeouts.from_config(config),
            config.max_mini_batches_per_executor,
            config.executor_restart,
            MemoryLimits.from_config(config),
        )
