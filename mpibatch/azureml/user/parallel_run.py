"""azureml_user.parallel_run: EntryScript."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "EntryScript": "mpibatch.sdk.entry_script",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
