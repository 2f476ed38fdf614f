"""azureml.data: datasets and what they are made of."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "DataType": "mpibatch.sdk.column_types",
    "DatasetConsumptionConfig": "mpibatch.sdk.consumption",
    "FileDataset": "mpibatch.sdk.dataset_kinds",
    "OutputFileDatasetConfig": "mpibatch.pipelines.api",
    "TabularDataset": "mpibatch.sdk.dataset_kinds",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
