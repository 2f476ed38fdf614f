"""What a job's config says of scheduling: tries, isolation, and when to give up."""

from dataclasses import dataclass
from typing import Protocol, Self

from mpibatch.scheduling.thresholds import FailureThresholds, ThresholdSettings


class SchedulingSettings(ThresholdSettings, Protocol):
    """What is read of parallel_run_config."""

    @property
    def run_max_try(self) -> int: ...
    @property
    def isolate_failures(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class SchedulingPolicy:
    """The part of parallel_run_config that scheduling reads."""

    run_max_try: int
    isolate_failures: bool
    thresholds: FailureThresholds

    @classmethod
    def from_config(cls, config: SchedulingSettings) -> Self:
        return cls(config.run_max_try, config.isolate_failures, FailureThresholds.from_config(config))
