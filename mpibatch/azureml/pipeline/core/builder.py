"""azureml.pipeline.core.builder: PipelineData."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "PipelineData": "mpibatch.pipelines.api",
    "StepSequence": "mpibatch.pipelines.api",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
