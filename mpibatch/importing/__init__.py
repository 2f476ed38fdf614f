"""Azure's job files as job files of ours: `mpibatch import FILE`.

v1 parallel_run_config YAML --v1-->  job data    |
v2 pipeline or parallel job --v2-->  pipeline data  --> YAML, and a line for each thing that has no counterpart
   components, commands, MLTable |
"""
