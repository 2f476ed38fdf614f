"""A run as a piece of HTML for a notebook: progress while it goes on, and the summary at its end.

status.json, summary.json --run_html--> HTML without scripts, in the notebook's own colours
"""

from pathlib import Path

import jinja2

from mpibatch.reporting import ending, text
from mpibatch.reporting.status import LiveState, read_status

KINDS_SHOWN = 5

_PAGE = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string("""\
<div style="max-width: 44em; border: 1px solid #8886; border-radius: 6px; padding: .7em 1em">
<b>{{ name }}</b>: {{ state }}{% if reason %}: {{ reason }}{% endif %}
{% if summary %}<progress max="{{ [total, 1] | max }}" value="{{ done }}" style="width: 100%">{{ done }} of {{ total }}\
</progress>
<table>
<tr><th>mini-batches</th><td>{{ "{:,}".format(done) }} of {{ "{:,}".format(total) }}</td></tr>
<tr><th>items</th><td>{{ "{:,}".format(summary.items.succeeded) }} succeeded, \
{{ "{:,}".format(summary.items.failed) }} failed</td></tr>
<tr><th>speed</th><td>{{ rate }} items/s</td></tr>
<tr><th>time</th><td>{{ time }}</td></tr>
{% if summary.output %}<tr><th>output</th><td><code>{{ output }}</code></td></tr>{% endif %}
{% if report %}<tr><th>report</th><td><code>{{ report }}</code></td></tr>{% endif %}
</table>
{% for kind in kinds %}<details><summary>{{ "{:,}".format(kind.count) }} attempts: {{ line(kind) }}</summary>\
<pre>{{ lines(kind.traceback) }}</pre></details>{% endfor %}{% endif %}
{% for label, command in next %}<div>{{ label }}: <code>{{ command }}</code></div>{% endfor %}
</div>
""")


def run_html(run_dir: Path) -> str:
    """The run in `run_dir`, as it stands now. Raises UsageError where there is none, RunDirectoryError."""
    status = read_status(run_dir)
    summary, directory = status.summary, status.directory
    at_work = status.state in (LiveState.RUNNING, LiveState.STARTING)
    batches = None if summary is None else summary.mini_batches
    left = None if summary is None else text.seconds_left(summary)
    time = "" if summary is None else text.duration(summary.seconds.total)
    return _PAGE.render(
        name=directory.path.name if status.record is None else status.record.job.name,
        state=status.state.value,
        reason="" if summary is None or at_work else text.printable(summary.reason.partition("\n")[0]),
        summary=summary,
        total=0 if batches is None else batches.total,
        done=0 if batches is None else batches.succeeded + batches.failed,
        rate=f"{status.rate:,.1f}",
        time=time + (f", {text.duration(left)} left" if at_work and left is not None else ""),
        output=text.printable(str(directory.outputs)),
        report=text.printable(str(directory.report)) if directory.report.exists() else "",
        kinds=() if summary is None else summary.failures[:KINDS_SHOWN],
        line=text.failure_line,
        lines=text.printable_lines,
        next=[] if summary is None or at_work else ending.what_now(summary, directory),
    )
