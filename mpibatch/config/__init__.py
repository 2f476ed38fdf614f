"""The job file: from YAML text to the frozen dataclasses of `schema.py`.

    job.yaml --document--> plain data --parameters--> references replaced --validate--> typed fields
                                          ^                                                  |
                              --set K=V --'              every rank <--serialize-- Job <--resolve

Each stage adds to one list of problems and goes on with what is sound: a user sees everything at once.
Ranks and executors need only `schema.py`, `serialize.py` and `script.py`: neither pydantic nor yaml.
"""
