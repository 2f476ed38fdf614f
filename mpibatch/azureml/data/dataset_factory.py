"""azureml.data.dataset_factory: the factories behind Dataset.File and Dataset.Tabular."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "DataType": "mpibatch.sdk.column_types",
    "FileDatasetFactory": "mpibatch.sdk.dataset:FileFactory",
    "TabularDatasetFactory": "mpibatch.sdk.dataset:TabularFactory",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
