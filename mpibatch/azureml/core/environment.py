"""azureml.core.environment: Environment and what belongs to it."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "CondaDependencies": "mpibatch.sdk.environment",
    "DEFAULT_CPU_IMAGE": "mpibatch.sdk.environment",
    "DEFAULT_GPU_IMAGE": "mpibatch.sdk.environment",
    "DockerConfiguration": "mpibatch.sdk.environment",
    "DockerSection": "mpibatch.sdk.environment",
    "Environment": "mpibatch.sdk.environment",
    "RSection": "mpibatch.sdk.environment",
    "RunConfiguration": "mpibatch.sdk.environment",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
