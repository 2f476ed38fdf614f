"""The batch script of `mpibatch submit`: what was asked for, as text. Pure.

    Submission --options--> sbatch's options, one list
                   |
                   |--render--> #SBATCH lines + a shell script that runs `mpibatch run --run-dir` and requeues
                   `--slurm.submit--> the same options again, as arguments of sbatch

The options go both ways because each way lacks something. The script alone is complete, so that the text of
`--dry-run` can be kept, edited and submitted by hand. But sbatch lets SBATCH_* variables of the user's shell
override #SBATCH lines; only arguments override those.

Nothing in a name, path or value can run as a command: control characters are refused (a newline would end a
comment), words of the shell part are quoted with shlex, and words of #SBATCH lines, which are comments to the
shell and which sbatch splits itself, are quoted as sbatch reads them. Set-up commands are meant to run.
"""

import re
import shlex
import sys
import unicodedata
from dataclasses import dataclass, field, fields
from pathlib import Path

from mpibatch.config.values import JOB_NAME
from mpibatch.errors import ExitStatus, UsageError
from mpibatch.liveness.timers import SLURM_NOTICE_SECONDS

PLAIN = re.compile(r"[-A-Za-z0-9_@%+=:,./\[\]]+")
GPUS = re.compile(r"([A-Za-z0-9_.-]+:)?([1-9][0-9]*)")
TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
KILLED_BY_USR1 = 128 + 10

SCRIPT = """\
#!/bin/bash
# {title}
# By hand: mkdir -p {logs} && sbatch {script}
{directives}

set -e  # a set-up command that fails ends the job
{setup}
set +e

# Slurm sends USR1 to this shell before the time limit, and TERM when the job is cancelled or preempted. The
# program then ends early, with status {stopped}. A cancelled job must not come back, and a preempted one is
# requeued by Slurm itself.
requeue={requeue}
signalled=no
program=
drain() {{
    signalled=yes
    [ -z "$program" ] || kill -USR1 "$program"
}}
trap drain USR1
trap 'requeue=no; drain' TERM

{command} &
program=$!
[ "$signalled" = no ] || kill -USR1 "$program"  # it came before the program had a number

# A trapped signal ends `wait`, but not the program
signalled=yes
while [ "$signalled" = yes ]; do
    signalled=no
    wait "$program"
    status=$?
done

# {stopped}: stopped early, to go on later. {killed}: USR1 came before the program could catch it.
if [ "$requeue" = yes ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {requeues} ]; then
    case $status in
    {stopped} | {killed}) scontrol requeue "$SLURM_JOB_ID" ;;
    esac
fi
exit "$status"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job for Slurm. Raises UsageError for what cannot be put into a script safely.

    processes_per_node: None is "auto": what the GPUs take if `gpus` are asked for, else whole nodes and one per core
    gpus_per_process:   GPUs of one executor
    cpus_per_process:   CPUs of one executor; None leaves them to Slurm
    memory, gpus:       per node, as Slurm writes them: "16G"; "2" or "a100:2"
    extra:              more options for sbatch, each as it would stand after #SBATCH
    setup:              lines of shell, run before the program
    prefix:             words before the program: `srun --mpi=pmix apptainer exec image.sif`
    python:             the interpreter; another one inside a container
    notice:             seconds before the time limit at which the program is told to stop
    ranks_by_step:      each step of a pipeline says how many ranks it has
    requeues:           how often a run that stops early is put back into the queue; 0 is never
    """

    job_file: str
    run_dir: str
    name: str
    nodes: int = 1
    processes_per_node: int | None = 1
    processes_per_gpu: int = 1
    gpus_per_process: int = 1
    cpus_per_process: int | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    memory: str | None = None
    gpus: str | None = None
    constraint: str | None = None
    mail: str | None = None
    extra: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    python: str = field(default_factory=lambda: sys.executable)
    sets: tuple[str, ...] = ()
    notice: int = SLURM_NOTICE_SECONDS
    ranks_by_step: bool = False
    requeues: int = 100

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            for text in value if isinstance(value, tuple) else (value,):
                _refuse_unprintable(entry.name, text)
        if not JOB_NAME.matches(self.name):
            raise UsageError(f"name {self.name!r}: it must be {JOB_NAME.words}")
        for label, path in (("job_file", self.job_file), ("run_dir", self.run_dir)):
            if not Path(path).is_absolute():
                raise UsageError(f"{label} {path!r} must be an absolute path: the job starts in another folder")
        if "\\" in self.run_dir:
            raise UsageError(f"{self.run_dir}: Slurm cannot write its log to a path with a backslash; choose another")
        for label, count in (("nodes", self.nodes), ("processes_per_node", self.processes_per_node)):
            if count is not None and count < 1:
                raise UsageError(f"{label} {count} must be at least 1")
        if self.gpus is not None and not GPUS.fullmatch(self.gpus):
            raise UsageError(f"gpus {self.gpus!r}: a number, or type:number such as a100:2, for each node")
        for text in self.extra:
            _words(text)

    @property
    def logs(self) -> Path:
        """Slurm opens its log here before anything of the job runs, so the folder must exist by then."""
        return Path(self.run_dir) / "logs"

    @property
    def gpus_per_node(self) -> int:
        """0 where none are asked for."""
        return 0 if self.gpus is None else int(self.gpus.rpartition(":")[2])

    @property
    def tasks_per_node(self) -> int | None:
        """None where only the allocation will tell: "auto" without GPUs."""
        if self.processes_per_node is not None or self.gpus is None:
            return self.processes_per_node
        return self.gpus_per_node // self.gpus_per_process * self.processes_per_gpu


def options(submission: Submission) -> list[str]:
    """sbatch's options, as separate words."""
    tasks = submission.tasks_per_node
    # In a file name Slurm replaces %j by the job's id and %% by a single %
    log = str(submission.logs).replace("%", "%%") + "/slurm-%j.txt"
    asked = {
        "--time": submission.time,
        "--partition": submission.partition,
        "--account": submission.account,
        "--qos": submission.qos,
        "--mem": submission.memory,
        "--gpus-per-node": submission.gpus,
        "--cpus-per-task": None if tasks is None else submission.cpus_per_process,
        "--constraint": submission.constraint,
        "--mail-user": submission.mail,
        "--mail-type": None if submission.mail is None else "END,FAIL",
    }
    return [
        f"--job-name={submission.name}",
        f"--nodes={submission.nodes}",
        "--exclusive" if tasks is None else f"--ntasks-per-node={tasks}",
        *(f"{option}={value}" for option, value in asked.items() if value is not None),
        f"--output={log}",
        "--open-mode=append",
        "--requeue" if submission.requeues > 0 else "--no-requeue",
        f"--signal=B:USR1@{_notice(submission)}",
        *(word for text in submission.extra for word in _words(text)),
    ]


def render(submission: Submission) -> str:
    """The whole script."""
    logs = str(submission.logs)
    setup = [f"module load {shlex.quote(module)}" for module in submission.modules] + list(submission.setup)
    return SCRIPT.format(
        title=f"{submission.name}: a batch job of mpibatch",
        logs=shlex.quote(logs),
        script=shlex.quote(f"{logs}/submit.sbatch"),
        directives="\n".join(f"#SBATCH {_quote(option)}" for option in options(submission)),
        setup="\n".join(setup) or ":",
        requeue="yes" if submission.requeues > 0 else "no",
        requeues=submission.requeues,
        command=shlex.join(_program(submission)),
        stopped=ExitStatus.STOPPED.value,
        killed=KILLED_BY_USR1,
    )


def seconds(time: str) -> int | None:
    """A time limit as Slurm reads it: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S; None for anything else."""
    match = TIME.fullmatch(time)
    if match is None:
        return None
    days, *rest = match.groups()
    parts = [int(part) for part in rest if part is not None]
    if days is not None:
        hours, minutes, left = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, left = parts
    else:
        hours, (minutes, left) = 0, [*parts, 0][:2]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + left


def _program(submission: Submission) -> list[str]:
    tasks = submission.tasks_per_node
    return [
        *submission.prefix,
        submission.python,
        "-P",  # or a random.py in the folder of submission would hide the library's
        "-m",
        "mpibatch",
        "run",
        submission.job_file,
        "--run-dir",
        submission.run_dir,
        *([] if tasks is None or submission.ranks_by_step else ["-n", str(submission.nodes * tasks)]),
        *(word for pair in submission.sets for word in ("--set", pair)),
    ]


def _notice(submission: Submission) -> int:
    """A short job is not told to stop before it has begun, but after three quarters of its time."""
    limit = seconds(submission.time) if submission.time is not None else None
    return min(submission.notice, limit // 4) if limit else submission.notice


def _words(text: str) -> list[str]:
    """The words of an extra line."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"extra sbatch option {text!r}: {error}") from None
    if not words or not words[0].startswith("-"):
        raise UsageError(f"extra sbatch option {text!r} must begin with - or --")
    return words


def _quote(word: str) -> str:
    """A word of a #SBATCH line. To sbatch a backslash protects any sign, also within double quotes."""
    if PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _refuse_unprintable(label: str, text: object) -> None:
    """Control characters, line separators, and undecodable bytes of a file name."""
    if isinstance(text, str) and any(unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} for sign in text):
        raise UsageError(f"{label} {text!r} holds a line break or another control character")
