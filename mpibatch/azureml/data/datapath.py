"""azureml.data.datapath: DataPath."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "DataPath": "mpibatch.sdk.datastore",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
