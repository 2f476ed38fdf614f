"""azureml.pipeline.core: pipelines and their runs."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "Pipeline": "mpibatch.pipelines.api",
    "PipelineData": "mpibatch.pipelines.api",
    "PipelineOutputFileDataset": "mpibatch.pipelines.api",
    "PipelineParameter": "mpibatch.pipelines.api",
    "PipelineRun": "mpibatch.pipelines.api",
    "PublishedPipeline": "mpibatch.pipelines.api",
    "StepRun": "mpibatch.pipelines.api",
    "StepSequence": "mpibatch.pipelines.api",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
