"""azureml.core.dataset: Dataset."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "Dataset": "mpibatch.sdk.dataset",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
