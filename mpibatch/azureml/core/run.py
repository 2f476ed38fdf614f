"""azureml.core.run: Run."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "Run": "mpibatch.sdk.run",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
