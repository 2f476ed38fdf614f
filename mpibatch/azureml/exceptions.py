"""azureml.exceptions: exceptions."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "AzureMLException": "mpibatch.errors:MpibatchError",
    "ComputeTargetException": "mpibatch.sdk.compute",
    "UserErrorException": "mpibatch.errors:UsageError",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
