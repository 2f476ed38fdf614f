"""Azure's module tree: the same modules and names, and behind them this package's classes.

Two ways for a program that was written for Azure: `azureml` becomes `mpibatch.azureml` in its import lines, or, before
them, `from mpibatch import azureml; azureml.redirect()`. Modules here only name what is elsewhere, and load it when it
is used. README.md has a table of what is here, what is better, and what is not.
"""

from mpibatch.azure_names import explain_missing, take_over
from mpibatch.azureml.absent import ABSENT
from mpibatch.lazy import lazy_module


def redirect() -> None:
    """From here on `import azureml` means these modules. Raises UsageError where the real ones are in use already."""
    take_over()


explain_missing()
__getattr__, __dir__ = lazy_module(__name__, {}, ABSENT)
