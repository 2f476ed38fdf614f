"""azureml.data.azure_storage_datastore: AzureBlobDatastore."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "AzureBlobDatastore": "mpibatch.sdk.datastore:Datastore",
    "AzureFileDatastore": "mpibatch.sdk.datastore:Datastore",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
