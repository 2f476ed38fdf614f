"""The classes of programs that build pipelines, in the shape of Azure's.

    ParallelRunConfig, datasets, outputs --ParallelRunStep, PythonScriptStep--> Pipeline
      --to_data--> the plain data of a pipeline file --Experiment.submit--> a run that goes on by itself --> PipelineRun

They hold what they were given; what it means is said by the plain data alone, which is checked as a file is.
"""

from mpibatch.pipelines.api.experiment import Experiment
from mpibatch.pipelines.api.outputs import OutputFileDatasetConfig, PipelineData, PipelineOutputFileDataset
from mpibatch.pipelines.api.parallel_run_config import ParallelRunConfig
from mpibatch.pipelines.api.parameter import PipelineParameter
from mpibatch.pipelines.api.pipeline import Pipeline
from mpibatch.pipelines.api.published import PublishedPipeline
from mpibatch.pipelines.api.run import PipelineRun, PipelineRunError, StepRun
from mpibatch.pipelines.api.run_details import RunDetails
from mpibatch.pipelines.api.steps import ParallelRunStep, PythonScriptStep, StepSequence

__all__ = [
    "Experiment",
    "OutputFileDatasetConfig",
    "ParallelRunConfig",
    "ParallelRunStep",
    "Pipeline",
    "PipelineData",
    "PipelineOutputFileDataset",
    "PipelineParameter",
    "PipelineRun",
    "PipelineRunError",
    "PublishedPipeline",
    "PythonScriptStep",
    "RunDetails",
    "StepRun",
    "StepSequence",
]
