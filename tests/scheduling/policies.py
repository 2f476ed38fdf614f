"""The policy of a job file that says only what a test is about."""

from typing import Any

from mpibatch.config.schema import RunConfig
from mpibatch.scheduling.policy import SchedulingPolicy
from mpibatch.scheduling.thresholds import FailureThresholds


def policy_with(**settings: Any) -> SchedulingPolicy:
    return SchedulingPolicy.from_config(RunConfig("score.py", **settings))


def thresholds_with(**settings: Any) -> FailureThresholds:
    return FailureThresholds.from_config(RunConfig("score.py", **settings))
