"""azureml.core.keyvault: Keyvault."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "Keyvault": "mpibatch.sdk.authentication",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
