"""The only writers of a run's files: run directory, plan, results log, assembly, status."""
