"""azureml.pipeline.core.graph: PipelineParameter."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "PipelineParameter": "mpibatch.pipelines.api",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
