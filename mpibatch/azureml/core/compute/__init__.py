"""azureml.core.compute: compute targets."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "AmlCompute": "mpibatch.sdk.compute",
    "ComputeInstance": "mpibatch.sdk.compute",
    "ComputeTarget": "mpibatch.sdk.compute",
    "ComputeTargetException": "mpibatch.sdk.compute",
    "LocalCompute": "mpibatch.sdk.run_target",
    "SlurmCompute": "mpibatch.sdk.run_target",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
