"""azureml.data.abstract_dataset: AbstractDataset."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "AbstractDataset": "mpibatch.sdk.dataset_kinds",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
