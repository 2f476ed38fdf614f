"""azureml.core.compute.amlcompute: AmlCompute."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "AmlCompute": "mpibatch.sdk.compute",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
