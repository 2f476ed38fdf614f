"""`python -m mpibatch.config.reference` prints the reference of the job file: every key, from its declaration.

python -m mpibatch.config.reference > jobs/REFERENCE.md
"""

import sys
from dataclasses import MISSING, is_dataclass

from mpibatch.config.markers import Auto
from mpibatch.config.pipeline_schema import PipelineSettings, ScriptStep, StepOptions, StepOutput
from mpibatch.config.problems import as_text
from mpibatch.config.schema import Input, Job, RowFormat, RunConfig, SideInput
from mpibatch.config.settings import Setting, mark, settings_of, unfold, wording

_HEAD = """\
# Keys of a job file

Made from the declarations in `mpibatch/config/schema.py` by `python -m mpibatch.config.reference`; `mpibatch schema`
prints them as a JSON Schema. Relative paths are relative to the job file. `${{ parameters.NAME }}` and
`${{ side_inputs.NAME }}` may stand wherever text may, and alone in place of a number or a flag. A setting with a tick
below *resume* changes no row: `mpibatch resume RUN_DIR --set NAME=VALUE` may change it.
"""

_SECTIONS: dict[type, str] = {
    Job: "The job",
    Input: "`inputs.NAME`: one of the job's inputs",
    SideInput: "`side_inputs.NAME`: or its path alone",
    RunConfig: "`parallel_run_config`",
    RowFormat: "`parallel_run_config.append_row_format`",
    PipelineSettings: "A pipeline: a file with `steps`; `parameters` as in a job, or a whole input",
    ScriptStep: "`steps[]` with `script`: one process; without it a step has the keys of a job",
    StepOptions: "`steps[]`: what every step may have besides",
    StepOutput: "`steps[].outputs.NAME`",
}


def render() -> str:
    """The whole reference, in Markdown."""
    return "\n".join([_HEAD, *(_table(section, title) for section, title in _SECTIONS.items())])


def _table(section: type, title: str) -> str:
    resume = section is RunConfig
    head = ["key", "must be", "default", *(["resume"] if resume else []), "meaning"]
    rows = [_row(setting, resume) for setting in settings_of(section)]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join([f"## {title}", "", *lines, ""])


def _row(setting: Setting, resume: bool) -> list[str]:
    kinds = f" ({', '.join(setting.types)} only)" if setting.types else ""
    tick = ["✓" if setting.on_resume else ""] if resume else []
    cells = [f"`{setting.key}`", wording(setting.hint), _default(setting), *tick, setting.doc + kinds]
    return [cell.replace("|", "\\|") for cell in cells]


def _default(setting: Setting) -> str:
    match setting.default:
        case _ if setting.required:
            return "required"
        case None if mark(unfold(setting.hint)[1], Auto) is not None:
            return "`auto`"
        case None | () | dict() | type():
            return ""
        case bool() | int() | float():
            return f"`{as_text(setting.default) if isinstance(setting.default, bool) else f'{setting.default:g}'}`"
        case str():
            return f"`{setting.default}`"
        case default:
            assert default is MISSING or is_dataclass(default)
            return ""


if __name__ == "__main__":
    sys.stdout.write(render())
