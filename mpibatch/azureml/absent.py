"""What Azure has and is not here, with a sentence each that says what to do in its place."""

import pkgutil
from importlib import import_module

from mpibatch.lazy import unknown

_CLOUD = "cloud only. "
_SERVE = _CLOUD + "A model is used in a step here, or served by what you serve with"
_SCHEDULE = "cron, or scrontab of Slurm, with `mpibatch run FILE` or `mpibatch submit FILE`"

ABSENT = {
    "automl": _CLOUD + "Use a library for it in a script step",
    "AutoMLConfig": _CLOUD + "Use a library for it in a script step",
    "AutoMLStep": _CLOUD + "Use a library for it in a script step",
    "hyperdrive": "cloud only. Submit the pipeline with other pipeline_parameters for each try",
    "HyperDriveConfig": "cloud only. Submit the pipeline with other pipeline_parameters for each try",
    "HyperDriveStep": "cloud only. Submit the pipeline with other pipeline_parameters for each try",
    "train": "estimators ran scripts in the cloud. Use PythonScriptStep",
    "ScriptRunConfig": "use a pipeline of one PythonScriptStep",
    "Estimator": "use PythonScriptStep",
    "EstimatorStep": "use PythonScriptStep",
    "DataTransferStep": _CLOUD + "Copy in a PythonScriptStep, or with Datastore.upload and download",
    "DatabricksStep": _CLOUD + "Use PythonScriptStep",
    "AdlaStep": _CLOUD + "Use PythonScriptStep",
    "CommandStep": "use PythonScriptStep",
    "Schedule": "nothing runs between runs. Use " + _SCHEDULE,
    "ScheduleRecurrence": "nothing runs between runs. Use " + _SCHEDULE,
    "PipelineEndpoint": "nothing listens. Use pipeline.publish and PublishedPipeline.submit, or `mpibatch run FILE`",
    "webservice": _SERVE,
    "Webservice": _SERVE,
    "AciWebservice": _SERVE,
    "AksWebservice": _SERVE,
    "LocalWebservice": _SERVE,
    "InferenceConfig": _SERVE,
    "AksCompute": _CLOUD + "Use AmlCompute, LocalCompute or SlurmCompute",
    "RemoteCompute": "use SlurmCompute",
    "opendatasets": _CLOUD + "Download the files and use Dataset.File or Dataset.Tabular",
    "interpret": "use a library for it in a script step",
    "telemetry": "nothing is reported to anybody",
}


def explain_module(fullname: str) -> str:
    """Why `import azureml.X`, or `mpibatch.azureml.X`, found nothing, and what there is."""
    parent, _, name = fullname.rpartition(".")
    mirrored = parent.replace("azureml_user", "mpibatch.azureml.user", 1)
    if not mirrored.startswith("mpibatch."):
        mirrored = f"mpibatch.{parent}"
    try:
        path = import_module(mirrored).__path__
    except (ImportError, AttributeError):
        return f"there is no module {fullname} here; README.md of mpibatch.azureml lists what there is"
    modules = [module.name for module in pkgutil.iter_modules(path) if module.name != "absent"]
    return unknown(parent, name, modules, ABSENT)
