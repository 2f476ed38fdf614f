"""mpibatch: batch inference and scoring over MPI and Slurm.

The classes for programs are imported when they are used, so that `import mpibatch` costs nothing.
"""

from mpibatch.lazy import lazy_module

__version__ = "0.1.0"

_PIPELINES = ("ParallelRunConfig", "ParallelRunStep", "PythonScriptStep", "Pipeline", "PipelineParameter", "Experiment")
_NAMES = {
    **dict.fromkeys(_PIPELINES, "mpibatch.pipelines.api"),
    "Workspace": "mpibatch.sdk.workspace",
    "Dataset": "mpibatch.sdk.dataset",
    "Datastore": "mpibatch.sdk.datastore",
    "Model": "mpibatch.sdk.model",
    "LocalCompute": "mpibatch.sdk.run_target",
    "SlurmCompute": "mpibatch.sdk.run_target",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES)
