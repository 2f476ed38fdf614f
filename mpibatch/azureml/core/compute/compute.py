"""azureml.core.compute.compute: ComputeTarget."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "ComputeTarget": "mpibatch.sdk.compute",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
