"""azureml.core.model: Model."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "Model": "mpibatch.sdk.model",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
