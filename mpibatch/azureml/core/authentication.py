"""azureml.core.authentication: ways to sign in, all of them the same."""

from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module

_NAMES = {
    "AzureCliAuthentication": "mpibatch.sdk.authentication:InteractiveLoginAuthentication",
    "InteractiveLoginAuthentication": "mpibatch.sdk.authentication",
    "MsiAuthentication": "mpibatch.sdk.authentication:InteractiveLoginAuthentication",
    "ServicePrincipalAuthentication": "mpibatch.sdk.authentication:InteractiveLoginAuthentication",
    "TokenAuthentication": "mpibatch.sdk.authentication:InteractiveLoginAuthentication",
}
__getattr__, __dir__ = lazy_module(__name__, _NAMES, ABSENT)
