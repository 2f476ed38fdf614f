"""azureml.data.data_reference: DataReference."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "DataReference": "mpibatch.sdk.datastore",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
