"""The job file: from YAML text to the frozen dataclasses of `schema.py`.

    job.yaml --document--> plain data --parameters--> references replaced --validate--> typed fields
                                          ^                                                  |
                              --set K=V --'              every rank <--serialize-- Job <--resolve

Each stage adds to one list of problems and goes on with what is sound: a user sees everything at once.
What each key may hold is declared in `schema.py` alone, in the words of `markers.py`; `settings.py` reads it off for
the check, the JSON Schema (`json_schema.py`) and the reference (`reference.py`).
Ranks and executors need only these three, `serialize.py` and `script.py`: neither pydantic nor yaml.
"""
