"""azureml.data.tabular_dataset: TabularDataset."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "TabularDataset": "mpibatch.sdk.dataset_kinds",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
