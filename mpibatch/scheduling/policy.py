"""What a job's config says of scheduling: tries, isolation, and when to give up."""

from dataclasses import dataclass
from typing import Protocol, Self

from mpibatch.scheduling.backups import BackupPolicy
from mpibatch.scheduling.thresholds import FailureThresholds, ThresholdSettings


class SchedulingSettings(ThresholdSettings, Protocol):
    """What is read of parallel_run_config."""

    @property
    def run_max_try(self) -> int: ...
    @property
    def isolate_failures(self) -> bool: ...
    @property
    def backup_tasks(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class SchedulingPolicy:
    """The part of parallel_run_config that scheduling reads. backups: None for none."""

    run_max_try: int
    isolate_failures: bool
    thresholds: FailureThresholds
    backups: BackupPolicy | None = None

    @classmethod
    def from_config(cls, config: SchedulingSettings) -> Self:
        thresholds, backups = FailureThresholds.from_config(config), BackupPolicy() if config.backup_tasks else None
        return cls(config.run_max_try, config.isolate_failures, thresholds, backups)
