"""azureml.contrib: what was here before it was in pipeline.steps."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES: dict[str, str] = {}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
