"""report.html: one file that opens offline, drawn from a run directory, while the run goes on and at its end.

    status.json or summary.json, run.json, measurements, failed_items.jsonl --write_report--> report.html

The page of a run that goes on loads itself again every RELOAD_SECONDS; so it is a live view without a server or a port.
"""

import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from mpibatch.attempts import AttemptOutcome
from mpibatch.config.schema import Job
from mpibatch.config.units import format_memory
from mpibatch.errors import MpibatchError, RunDirectoryError, UsageError
from mpibatch.files import replacing
from mpibatch.liveness.lease import is_owned
from mpibatch.reporting import assets, ending, text
from mpibatch.reporting.advice import Advice, advise
from mpibatch.reporting.analysis import Analysis, analyse
from mpibatch.reporting.charts import charts
from mpibatch.reporting.failures import log_of, read_failures
from mpibatch.reporting.placement_table import placement_text
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.measurements import Measurements
from mpibatch.runs.run_record import RankRecord, RunRecord
from mpibatch.runs.summary import RunState, Summary

RELOAD_SECONDS = 30
KINDS_SHOWN = 20
SLOWEST_SHOWN = 10
RANKS_SHOWN = 64


def prepare() -> None:
    """Does what each first report must, a tenth of a second, while there is nothing else to do."""
    _template()
    np.median([0.0])  # which imports numpy.ma


def report(directory: RunDirectory, path: Path) -> Path:
    """Writes the report of any run directory to `path`. Raises UsageError where it is none, RunDirectoryError."""
    summary = Summary.read(directory) or Summary.read_status(directory)
    if summary is None:
        RunRecord.read(directory)
        raise UsageError(f"{directory.path}: this run has not begun yet, and there is nothing to report")
    write_report(directory, summary, path=path)
    return path


def finish(summary: Summary, directory: RunDirectory) -> str:
    """Writes the report of a run that has ended, and its summary in words, which is returned.

    A report that cannot be made is said and is no failure of the run.
    """
    analysis: Analysis | None = None
    advice: list[Advice] = []
    try:
        analysis = analyse(Measurements.read(directory), summary)
        advice = advise(summary, RunRecord.read(directory).job.config, analysis)
        write_report(directory, summary, analysis)
        written = str(directory.report)
    except (MpibatchError, OSError) as error:
        written = f"not written: {error}"
    said = ending.end_text(summary, directory, analysis, advice, written)
    with suppress(OSError), replacing(directory.summary_text, durable=False) as file:
        file.write(f"{said}\n".encode("utf-8", "backslashreplace"))
    return said


def write_report(
    directory: RunDirectory, summary: Summary, analysis: Analysis | None = None, path: Path | None = None
) -> None:
    """Replaces report.html, or `path`. analysis: if the caller has it already. Raises MpibatchError."""
    path = path or directory.report
    page = render(directory, summary, analysis or analyse(Measurements.read(directory), summary))
    try:
        with replacing(path, durable=False) as file:
            file.write(page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise RunDirectoryError(
            f"cannot write {path}: {error.strerror or error}. `mpibatch report --output FILE` writes it elsewhere."
        ) from error


def render(directory: RunDirectory, summary: Summary, analysis: Analysis | None) -> str:
    """The page. Raises MpibatchError where the run's record cannot be read."""
    record = RunRecord.read(directory)
    drawn = [] if analysis is None else charts(analysis)
    items, attempts = read_failures(directory)
    running = summary.status is RunState.RUNNING
    dead = running and is_owned(directory.path) is False
    return _template().render(
        directory=str(directory.path),
        summary=summary,
        record=record,
        state="dead" if dead else summary.status.value,
        reload_seconds=RELOAD_SECONDS if running and not dead else 0,
        written=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        reason=text.printable_lines(summary.reason),
        rate=text.rate(summary),
        busy=None if analysis is None else analysis.busy_share,
        largest=_largest(analysis),
        seconds_left=text.seconds_left(summary),
        duration=text.duration,
        printable=text.printable,
        printable_lines=text.printable_lines,
        failure_line=text.failure_line,
        log_of=lambda kind: log_of(directory, kind),
        item_kinds=items[:KINDS_SHOWN],
        attempt_kinds=attempts[:KINDS_SHOWN],
        advice=advise(summary, record.job.config, analysis),
        charts=drawn,
        chart_data={one.id: [one.kind, one.title, one.option] for one in drawn},
        slowest=[] if analysis is None else _slowest(analysis, record.ranks),
        job_file=record.job.file,
        job_text=_job_text(record.job),
        ranks=record.ranks[:RANKS_SHOWN],
        more_ranks=max(0, len(record.ranks) - RANKS_SHOWN),
        placement=placement_text,
        next=[] if running and not dead else ending.what_now(summary, directory),
        echarts=_asset("echarts.min.js"),
        style=_asset("report.css"),
        script=_asset("report.js"),
    )


def _largest(analysis: Analysis | None) -> str:
    """The most memory that an executor used, with all that it started; "" where nothing was measured."""
    most = 0 if analysis is None or not len(analysis.attempts) else int(analysis.attempts["memory"].max())
    return format_memory(most) if most else ""


def _slowest(analysis: Analysis, ranks: tuple[RankRecord, ...]) -> list[dict[str, Any]]:
    """The attempts with the longest run()."""
    attempts = analysis.attempts
    count = min(SLOWEST_SHOWN, len(attempts))
    if not count:
        return []
    longest = np.argpartition(-attempts["run"], count - 1)[:count]
    found = []
    for attempt in sorted((attempts[place] for place in longest), key=lambda one: -float(one["run"])):
        rank = int(attempt["rank"])
        found.append(
            {
                "mini_batch": int(attempt["index"]),
                "seconds": text.duration(float(attempt["run"])),
                "load": text.duration(float(attempt["load"])),
                "count": int(attempt["items"]) if attempt["items"] >= 0 else "?",
                "outcome": AttemptOutcome(int(attempt["cause"])).name.lower(),
                "rank": rank,
                "host": ranks[rank].host if rank < len(ranks) else "?",
            }
        )
    return found


def _job_text(job: Job) -> str:
    """The job file as it is now; the job as the run has it, where the file is away."""
    from mpibatch.config.serialize import to_json

    try:
        with open(job.file, encoding="utf-8", errors="backslashreplace") as file:
            return text.printable_lines(file.read(100_000))
    except (OSError, ValueError):
        import yaml  # seldom needed, and slow to import

        try:
            return yaml.safe_dump(yaml.safe_load(to_json(job)), sort_keys=False, allow_unicode=False)
        except (yaml.YAMLError, MpibatchError):
            return to_json(job)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = assets.read("report.html.j2")
    return environment.from_string(source)


@cache
def _asset(name: str) -> Markup:
    """A file of this package, which goes into the page as it is."""
    return Markup(assets.read(name))
