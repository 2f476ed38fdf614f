"""From datasets to the plan: every mini-batch of a run, in order."""
