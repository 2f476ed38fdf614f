"""azureml.pipeline.core.run: runs of pipelines."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "PipelineRun": "mpibatch.pipelines.api",
    "StepRun": "mpibatch.pipelines.api",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
