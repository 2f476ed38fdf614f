"""azureml.contrib.pipeline.steps: ParallelRunStep, where it was before."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "ParallelRunConfig": "mpibatch.pipelines.api",
    "ParallelRunStep": "mpibatch.pipelines.api",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
