"""azureml.pipeline.steps: steps."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "ParallelRunConfig": "mpibatch.pipelines.api",
    "ParallelRunStep": "mpibatch.pipelines.api",
    "PythonScriptStep": "mpibatch.pipelines.api",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
