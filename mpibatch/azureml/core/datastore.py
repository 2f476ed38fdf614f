"""azureml.core.datastore: Datastore."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "Datastore": "mpibatch.sdk.datastore",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
