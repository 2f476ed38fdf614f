"""What `mpibatch init NAME` writes: a job that runs as it is, to be edited from there."""

from pathlib import Path

from mpibatch.config import json_schema
from mpibatch.config.problems import format_value
from mpibatch.config.values import JOB_NAME
from mpibatch.errors import UsageError

_JOB = """\
# yaml-language-server: $schema={schema}
# Check it with `mpibatch validate job.yaml`, then run it with `mpibatch run job.yaml -n 2`.
name: "{name}"
parameters:
  batch_size: 2                   # another value for one run: --set batch_size=1

inputs:                           # one or more, all of one type
  texts:
    type: files                   # files, tar, lines, csv, jsonl, parquet, arrow, orc or hdf5
    path: data/*.txt              # a path, a glob, a folder, a list of these, or {{manifest: FILE}}

# side_inputs:                    # what the script uses whole, such as a model
#   model: model.bin
arguments: [--minimum, 1]         # sys.argv of the script; a side input is "${{{{ side_inputs.model }}}}"

parallel_run_config:
  entry_script: score.py
  mini_batch_size: "${{{{ parameters.batch_size }}}}"   # files for one call of run()
  append_row_file_name: counts.txt   # .txt, .csv, .jsonl (also .gz, .zst), .parquet or .arrow
  error_threshold: 0              # files that may fail before the job is aborted; -1: any number
  process_count_per_node: 2       # or auto: one for each GPU, else for each core
  run_invocation_timeout: 60      # seconds for one call of run()
  run_max_try: 3
"""

_SCRIPT = '''\
"""Counts the words of text files: replace the counting with your model."""

import argparse
from pathlib import Path

minimum = 0


def init():
    """Called once in each process: load the model here."""
    global minimum
    parser = argparse.ArgumentParser()
    parser.add_argument("--minimum", type=int, default=0)
    minimum = parser.parse_args().minimum


def run(mini_batch):
    """Called for each mini-batch, a list of paths. A file for which no row is returned counts as failed."""
    rows = []
    for path in map(Path, mini_batch):
        words = path.read_text(encoding="utf-8").split()
        if len(words) >= minimum:
            rows.append(f"{path.name} {len(words)}")
    return rows
'''

_TEXTS = {
    "one.txt": "Many hands make light work.\n",
    "two.txt": "The early bird catches the worm, but the second mouse gets the cheese.\n",
    "three.txt": "Slow and steady wins the race.\n",
}


def write_template(folder: Path, name: str) -> list[Path]:
    """Writes a job called `name` into `folder`, which must be new or empty; the files that were written."""
    if not JOB_NAME.matches(name):
        raise UsageError(f"{format_value(name)} is no name for a job: it must be {JOB_NAME.words}")
    files = {
        folder / "job.yaml": _JOB.format(name=name, schema=json_schema.FILE_NAME),
        folder / json_schema.FILE_NAME: json_schema.render(),
        folder / "score.py": _SCRIPT,
        **{folder / "data" / file: text for file, text in _TEXTS.items()},
    }
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(f"{folder} exists and is not empty; choose another name, or empty it first")
        (folder / "data").mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{folder} cannot be written: {reason}") from None
    return list(files)
