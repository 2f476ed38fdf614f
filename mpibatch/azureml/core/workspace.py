"""azureml.core.workspace: Workspace."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "Workspace": "mpibatch.sdk.workspace",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
