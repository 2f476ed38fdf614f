# ruff: noqa: E402 - imports stand where the tutorial has them
# %% [markdown]
# # Batch inference on images
# Microsoft's tutorial of ParallelRunStep, with `azureml` as `mpibatch.azureml` in its imports, over this folder's
# scans of digits. Start it in this folder: `python tutorial.py`, or cell by cell in a notebook.

# %%
import os
from pathlib import Path
from typing import Any

from mpibatch.azureml.core import Workspace

ws = Workspace.from_config()

# %% [markdown]
# ## Where it runs
# The name of a cluster is kept; steps run on this machine, or in Slurm with `MPIBATCH_COMPUTE=slurm`.

# %%
from mpibatch.azureml.core.compute import AmlCompute, ComputeTarget

compute_name = os.environ.get("AML_COMPUTE_CLUSTER_NAME", "cpucluster")
if compute_name in ws.compute_targets:
    compute_target = ws.compute_targets[compute_name]
else:
    provisioning_config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", min_nodes=0, max_nodes=4)
    compute_target = ComputeTarget.create(ws, compute_name, provisioning_config)
    compute_target.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=20)
    print(compute_target.get_status().serialize())

# %% [markdown]
# ## Inputs and output
# A datastore is a name for a folder; the inputs are a parameter, so that a run can have others.

# %%
from mpibatch.azureml.core import Datastore
from mpibatch.azureml.core.dataset import Dataset
from mpibatch.azureml.data.dataset_consumption_config import DatasetConsumptionConfig
from mpibatch.azureml.pipeline.core import PipelineData, PipelineParameter

mnist_blob = Datastore.register(ws, "mnist_datastore", path=os.getcwd(), overwrite=True)
input_mnist_ds = Dataset.File.from_files(path=mnist_blob.path("data/"), validate=False)
pipeline_param = PipelineParameter(name="mnist_param", default_value=input_mnist_ds)
input_mnist_ds_consumption = DatasetConsumptionConfig("minist_param_config", pipeline_param).as_mount()
output_dir = PipelineData(name="inferences", datastore=ws.get_default_datastore())

# %% [markdown]
# ## The model
# Registered once, found by scripts under its name.

# %%
from mpibatch.azureml.core.model import Model

model = Model.register(
    model_path="model/digits.keras",
    model_name="digits",
    tags={"pretrained": "digits"},
    description="A small convolutional network",
    workspace=ws,
)
print(model)

# %% [markdown]
# ## The step
# Batch size and number of processes are parameters too.

# %%
from mpibatch.azureml.core.environment import Environment
from mpibatch.azureml.pipeline.core import Pipeline
from mpibatch.azureml.pipeline.steps import ParallelRunConfig, ParallelRunStep

batch_env = Environment(name="batch_environment")
batch_env.environment_variables = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}
parallel_run_config = ParallelRunConfig(
    source_directory=".",
    entry_script="digit_identification.py",
    mini_batch_size=PipelineParameter(name="batch_size_param", default_value="50"),
    error_threshold=10,
    output_action="append_row",
    append_row_file_name="mnist_outputs.txt",
    environment=batch_env,
    compute_target=compute_target,
    process_count_per_node=PipelineParameter(name="process_count_param", default_value=2),
    run_invocation_timeout=120,
    node_count=1,
)
parallelrun_step = ParallelRunStep(
    name="predict-digits-mnist",
    parallel_run_config=parallel_run_config,
    inputs=[input_mnist_ds_consumption],
    output=output_dir,
    allow_reuse=True,
)
pipeline = Pipeline(workspace=ws, steps=[parallelrun_step])

# %% [markdown]
# ## Run it
# `submit` returns at once, and the run goes on whatever becomes of this program.

# %%
from mpibatch.azureml.core.experiment import Experiment
from mpibatch.azureml.widgets import RunDetails

experiment = Experiment(ws, "digit_identification")
pipeline_run = experiment.submit(pipeline)
RunDetails(pipeline_run).show()
pipeline_run.wait_for_completion(show_output=True)


# %%
def rows_of(run: Any) -> list[str]:
    """The rows of the one step, fetched to this folder's `runs`."""
    step_run = next(run.get_children())
    step_run.get_output_data("inferences").download(local_path="runs", overwrite=True)
    file = Path("runs", "azureml", step_run.id, "inferences", "mnist_outputs.txt")
    return file.read_text(encoding="utf-8").splitlines()


print(len(rows_of(pipeline_run)), "images")

# %% [markdown]
# ## Again, with a single image
# Other inputs, mini-batches of one image and one process: no new pipeline is needed.

# %%
single_image_ds = Dataset.File.from_files(path=mnist_blob.path("data/digit_0000.png"), validate=False)
pipeline_run_2 = experiment.submit(
    pipeline,
    pipeline_parameters={"mnist_param": single_image_ds, "batch_size_param": "1", "process_count_param": 1},
)
pipeline_run_2.wait_for_completion(show_output=True)
print(rows_of(pipeline_run_2))
