"""The text of the batch script, and its shell half run by bash with stand-ins for python and scontrol."""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mpibatch.errors import UsageError
from mpibatch.launching.batch_script import Submission, options, render, seconds

HOSTILE = [
    "x; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a' ; touch pwned; '",
    'a" ; touch pwned; "',
    "a && touch pwned #",
    "| touch pwned &",
    "> pwned",
    "100%j %% \\ \\\\",
    "-x --wrap=id",
    "$HOME ~ * ? {a,b}",
]
PYTHON = """#!/bin/bash
trap 'echo drained >>"$SEEN/signals"; exit 75' USR1
printf '%s\\n' "$@" >"$SEEN/words"
[ -z "$LINGER" ] || { touch "$SEEN/started"; while :; do sleep 0.05; done; }
exit "$STATUS"
"""
SCONTROL = """#!/bin/bash
printf '%s\\n' "$*" >>"$SEEN/requeues"
"""


Env = Mapping[str, str]
NOTHING: Env = {}


def submission(**changes: object) -> Submission:
    plain = Submission(job_file="/data/job.yaml", run_dir="/data/runs/1", name="predict-digits", python="python3")
    return replace(plain, **changes)  # type: ignore[arg-type]


class Shell:
    """Runs scripts with bash in a folder of its own; `seen` is what the stand-ins wrote there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = str(folder / "python")
        for name, text in (("python", PYTHON), ("scontrol", SCONTROL)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def start(self, script: str, status: int = 0, linger: bool = False, env: Env = NOTHING) -> "subprocess.Popen[str]":
        own = {"PATH": f"{self.folder}:{os.environ['PATH']}", "SEEN": str(self.folder), "SLURM_JOB_ID": "7"}
        own |= {"STATUS": str(status), "LINGER": "yes" if linger else ""}
        return subprocess.Popen(["bash", "-c", script], cwd=self.folder, env=own | dict(env), text=True)

    def run(self, script: str, status: int = 0, env: Env = NOTHING) -> int:
        with self.start(script, status, env=env) as process:
            return process.wait(timeout=20)

    def seen(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    yield Shell(tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_the_whole_script_of_a_plain_job() -> None:
    text = render(submission(nodes=3, processes_per_node=2, time="01:00:00", sets=("batch_size=5",)))
    head, _, rest = text.partition("\n\n")
    assert head.splitlines() == [
        "#!/bin/bash",
        "# predict-digits: a batch job of mpibatch",
        "# By hand: mkdir -p /data/runs/1/logs && sbatch /data/runs/1/logs/submit.sbatch",
        "#SBATCH --job-name=predict-digits",
        "#SBATCH --nodes=3",
        "#SBATCH --ntasks-per-node=2",
        "#SBATCH --time=01:00:00",
        "#SBATCH --output=/data/runs/1/logs/slurm-%j.txt",
        "#SBATCH --open-mode=append",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:USR1@120",
    ]
    command = "python3 -P -m mpibatch run /data/job.yaml --run-dir /data/runs/1 -n 6 --set batch_size=5 &"
    assert command in rest.splitlines()


def test_every_option_has_its_word() -> None:
    asked = submission(
        time="10",
        partition="long",
        account="phys",
        qos="low",
        memory="8G",
        gpus="a100:2",
        constraint="a&b",
        mail="a@b.c",
    )
    words = [*options(replace(asked, extra=("--exclude n1", "--comment='two words'")))]
    assert words[3:11] == [
        "--time=10",
        "--partition=long",
        "--account=phys",
        "--qos=low",
        "--mem=8G",
        "--gpus-per-node=a100:2",
        "--constraint=a&b",
        "--mail-user=a@b.c",
    ]
    assert words[-3:] == ["--exclude", "n1", "--comment=two words"]


@pytest.mark.parametrize(
    ("changes", "tasks"),
    [
        ({"processes_per_node": 4}, "--ntasks-per-node=4"),
        ({"processes_per_node": None, "gpus": "2"}, "--ntasks-per-node=2"),
        ({"processes_per_node": None, "gpus": "a100:4", "processes_per_gpu": 2}, "--ntasks-per-node=8"),
        ({"processes_per_node": None, "gpus": "8", "gpus_per_process": 4}, "--ntasks-per-node=2"),
        ({"processes_per_node": 4, "cpus_per_process": 16}, "--cpus-per-task=16"),
        ({"processes_per_node": None}, "--exclusive"),
    ],
)
def test_processes_per_node(changes: dict[str, object], tasks: str) -> None:
    asked = submission(**changes)
    assert tasks in options(asked)
    assert (" -n " in render(asked)) == (tasks != "--exclusive")


@pytest.mark.parametrize("text", HOSTILE)
def test_words_reach_the_program_as_they_are(shell: Shell, text: str) -> None:
    asked = submission(
        job_file=f"/{text}/job.yaml",
        run_dir="/runs/" + text.replace("\\", ""),
        python=shell.python,
        sets=(text, f"key={text}"),
        prefix=("env", f"WORD={text}"),
        partition=text,
        account=text,
        mail=text,
        extra=("--comment=" + shlex.quote(text),),
    )
    assert shell.run(render(asked)) == 0
    words = [
        "run",
        asked.job_file,
        "--run-dir",
        asked.run_dir,
        "-n",
        "1",
        "--set",
        text,
        "--set",
        f"key={text}",
    ]
    assert shell.seen("words") == ["-P", "-m", "mpibatch", *words]


def test_modules_are_quoted_and_setup_is_not(shell: Shell) -> None:
    module = {"BASH_FUNC_module%%": '() { printf "%s\\n" "$@" >"$SEEN/modules"; }'}  # as sites export it
    text = render(submission(python=shell.python, modules=("cuda; touch pwned",), setup=("STATUS=4",)))
    assert shell.run(text, env=module) == 4
    assert shell.seen("modules") == ["load", "cuda; touch pwned"]


def test_a_failing_setup_ends_the_job(shell: Shell) -> None:
    assert shell.run(render(submission(python=shell.python, setup=("(exit 9)",)))) == 9
    assert shell.seen("words") == []


@pytest.mark.parametrize("bad", ["a\nb", "a\r", "a\0b", "a\x1b[0m", "a\u2028b", "a\udcff"])
@pytest.mark.parametrize(
    "label",
    [
        "job_file",
        "run_dir",
        "name",
        "partition",
        "time",
        "mail",
        "python",
        "extra",
        "modules",
        "setup",
        "prefix",
        "sets",
    ],
)
def test_control_characters_are_refused(label: str, bad: str) -> None:
    value: object = (bad,) if label in {"extra", "modules", "setup", "prefix", "sets"} else bad
    with pytest.raises(UsageError, match=f"{label} .* control character"):
        submission(**{label: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "x; touch pwned"}, "3 to 32 lower-case letters"),
        ({"name": "ab"}, "3 to 32 lower-case letters"),
        ({"name": "-abc"}, "3 to 32 lower-case letters"),
        ({"job_file": "job.yaml"}, "absolute path"),
        ({"run_dir": "runs/1"}, "absolute path"),
        ({"run_dir": "/runs/a\\b"}, "backslash"),
        ({"nodes": 0}, "at least 1"),
        ({"processes_per_node": 0}, "at least 1"),
        ({"gpus": "many"}, "a number, or type:number"),
        ({"gpus": "0"}, "a number, or type:number"),
        ({"extra": ("touch pwned",)}, "must begin with -"),
        ({"extra": ("--comment='open",)}, "No closing quotation"),
        ({"extra": ("",)}, "must begin with -"),
    ],
)
def test_what_cannot_be_right_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        submission(**changes)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("90", 5400),
        ("1:30", 90),
        ("1:00:00", 3600),
        ("2-0", 172800),
        ("1-12", 129600),
        ("1-0:30", 88200),
        ("0-0:0:5", 5),
        ("UNLIMITED", None),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_time_limits(time: str, expected: int | None) -> None:
    assert seconds(time) == expected


def test_a_short_job_gets_short_notice() -> None:
    assert "--signal=B:USR1@15" in options(submission(time="1"))
    assert "--signal=B:USR1@120" in options(submission(time="UNLIMITED"))
    assert "--signal=B:USR1@300" in options(submission(time="2:00:00", notice=300))


@pytest.mark.parametrize(
    ("status", "requeued"),
    [(0, False), (1, False), (2, False), (3, False), (75, True), (137, False), (138, True)],
)
def test_only_a_run_that_stopped_early_is_requeued(shell: Shell, status: int, requeued: bool) -> None:
    assert shell.run(render(submission(python=shell.python)), status) == status
    assert shell.seen("requeues") == (["requeue 7"] if requeued else [])


def test_requeues_have_an_end(shell: Shell) -> None:
    assert shell.run(render(submission(python=shell.python, requeues=3)), 75, {"SLURM_RESTART_COUNT": "3"}) == 75
    assert shell.seen("requeues") == []
    assert "--no-requeue" in options(submission(requeues=0))
    assert shell.run(render(submission(python=shell.python, requeues=0)), 75) == 75
    assert shell.seen("requeues") == []


@pytest.mark.parametrize(("number", "requeued"), [(signal.SIGUSR1, ["requeue 7"]), (signal.SIGTERM, [])])
def test_a_signal_drains_and_only_walltime_requeues(shell: Shell, number: signal.Signals, requeued: list[str]) -> None:
    with shell.start(render(submission(python=shell.python)), linger=True) as job:
        while not (shell.folder / "started").exists():
            assert job.poll() is None
        job.send_signal(number)
        assert job.wait(timeout=20) == 75
    assert shell.seen("signals") == ["drained"]
    assert shell.seen("requeues") == requeued


def test_a_signal_that_comes_as_the_program_starts(shell: Shell) -> None:
    """The shell may not know the program's number yet, which it then does not stop: of 100 times, 5 without care."""
    (shell.folder / "python").write_text("#!/bin/sh\ntrap 'exit 75' USR1\nkill -USR1 $PPID\nsleep 0.1\nexit 9\n")
    script = render(submission(python=shell.python, requeues=0))
    assert [shell.run(script) for _ in range(40)] == [75] * 40
