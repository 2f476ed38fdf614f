"""Pipelines: several steps, one run directory, one process that runs them one after another.

    pipeline.yaml, or the classes of `api` --config.pipeline--> Pipeline
      --create_run--> run directory: run.json, pipeline.yaml, source/<step>/ (a copy of each source_directory)
      --runner--> steps in order, each reused | launching.run | script_run --> steps/<step>/, an ordinary run directory

The runner is this process (`mpibatch run pipeline.yaml`), a detached one (`Experiment.submit`), or that of a Slurm job,
and may be started again: what is complete stays, and it goes on with the step that stopped.
"""
