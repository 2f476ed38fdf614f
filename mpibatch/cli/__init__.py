"""The commands, a file for each thing that people want to do; what they do is elsewhere, imported when it is needed.

main.py --> groups.py                        --help, in groups
        --> running.py, submitting.py        a job, or a pipeline (pipelines.py says what is otherwise there)
        --> writing.py                       job files
        --> looking.py                       runs
        --> workspace.py, setting_up.py      models, datastores, datasets; this machine and shell
options.py: what several commands take
"""
