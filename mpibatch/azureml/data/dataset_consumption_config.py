"""azureml.data.dataset_consumption_config: DatasetConsumptionConfig."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "DatasetConsumptionConfig": "mpibatch.sdk.consumption",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
