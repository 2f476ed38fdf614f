"""azureml.core: the classes that programs begin with."""

from mpibatch import __version__
from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "AmlCompute": "mpibatch.sdk.compute",
    "ComputeInstance": "mpibatch.sdk.compute",
    "ComputeTarget": "mpibatch.sdk.compute",
    "Dataset": "mpibatch.sdk.dataset",
    "Datastore": "mpibatch.sdk.datastore",
    "DockerConfiguration": "mpibatch.sdk.environment",
    "Environment": "mpibatch.sdk.environment",
    "Experiment": "mpibatch.pipelines.api",
    "Keyvault": "mpibatch.sdk.authentication",
    "Model": "mpibatch.sdk.model",
    "Run": "mpibatch.sdk.run",
    "RunConfiguration": "mpibatch.sdk.environment",
    "Workspace": "mpibatch.sdk.workspace",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)

VERSION = f"1.61.0 (mpibatch {__version__})"
