"""azureml.core.conda_dependencies: CondaDependencies."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "CondaDependencies": "mpibatch.sdk.environment",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
