"""azureml.data.dataset_type_definitions: PromoteHeadersBehavior."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "PromoteHeadersBehavior": "mpibatch.sdk.column_types",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
