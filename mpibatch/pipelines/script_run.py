"""Runs a script step: one process under a supervisor, in a run directory like that of ranks.

    ScriptStep --> run.json --> supervisor --> python script.py ARGUMENTS, its folder the working directory
                                  `--> logs/user/stdout|stderr/<host>/rank0.txt      --> summary.json

A stop lets the script end itself (SIGTERM); it is killed where that takes longer than `GRACE`. A script that did not
complete begins anew when the pipeline is resumed, in an empty folder: what it had done is moved aside.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path

from mpibatch.cluster.environment import without_launcher_variables
from mpibatch.config.pipeline_schema import ScriptStep
from mpibatch.errors import ExitStatus
from mpibatch.files import write_json
from mpibatch.liveness import lease
from mpibatch.liveness.stop_signals import signal_name
from mpibatch.liveness.supervised_process import SupervisedProcess
from mpibatch.pipelines.stop_requests import StopRequests
from mpibatch.runs.directory import RunDirectory, create_at
from mpibatch.runs.run_record import user_name
from mpibatch.runs.summary import Durations, ItemCounts, MiniBatchCounts, RunState, Summary
from mpibatch.workspace.home import HOME, find_home

GRACE = 30.0  # seconds
KIND = "script"


def run_script(
    step: ScriptStep, folders: Sequence[str], path: Path, env: Mapping[str, str], stop: StopRequests
) -> ExitStatus:
    """Runs the step in the run directory `path`. folders: to be made in its output. Raises RunDirectoryError."""
    _move_aside(path)
    directory = create_at(path)
    for folder in folders:
        (directory.outputs / folder).mkdir(parents=True, exist_ok=True)
    script = os.path.join(step.source_directory, step.script)
    command = [sys.executable, "-u", "-m", "mpibatch.script_main", script, *step.arguments]
    record = {"kind": KIND, "step": asdict(step), "command": command, "user": user_name(), "created": _utc()}
    write_json(directory.run_json, record)
    host = os.uname().nodename
    logs = [directory.rank_log(stream, host, 0) for stream in ("user/stdout", "user/stderr")]
    for log in logs:
        log.parent.mkdir(parents=True, exist_ok=True)
    owner = lease.acquire(directory.path)
    began = time.monotonic()
    try:
        _write(directory, RunState.RUNNING, "", began)
        with logs[0].open("ab") as stdout, logs[1].open("ab") as stderr:
            watch = _Watch(step, stop)
            process = SupervisedProcess(
                command,
                script_environment(step, directory, env),
                stdout=stdout,
                stderr=stderr,
                folder=step.source_directory,
            )
            returned = process.wait(lambda: watch.tick(process.signal, process.kill))
        state, reason = watch.judge(returned, *logs)
        _write(directory, state, reason, began)
    finally:
        owner.release()
    return state.exit_status


class _Watch:
    """How long the script may go on, and why it was ended."""

    def __init__(self, step: ScriptStep, stop: StopRequests) -> None:
        self._step = step
        self._stop = stop
        self._began = time.monotonic()
        self._asked: float | None = None
        self._too_late = False

    def tick(self, send: Callable[[int], None], kill: Callable[[], None]) -> None:
        """About once a second."""
        now = time.monotonic()
        timeout = self._step.timeout
        if timeout is not None and now - self._began > timeout:
            self._too_late = True
            kill()
        received = self._stop.received
        if received and self._asked is None:
            self._asked = now
            send(signal.SIGTERM)
        if self._asked is not None and (now - self._asked > GRACE or received.count(signal.SIGINT) > 1):
            kill()

    def judge(self, returned: int, stdout: Path, stderr: Path) -> tuple[RunState, str]:
        """How the step has ended, and why: in the script's last words."""
        if returned == 0:
            return RunState.COMPLETED, ""
        if self._too_late:
            return RunState.ABORTED, f"the script ran longer than its timeout of {self._step.timeout:g} s"
        if self._asked is not None:
            return RunState.STOPPED, f"stopped by {signal_name(self._stop.received[0])}"
        how = f"was ended by {signal.Signals(-returned).name}" if returned < 0 else f"ended with status {returned}"
        log = stderr if _last_line(stderr) else stdout
        last = _last_line(log)
        return RunState.ABORTED, f"{self._step.script} {how}{f': {last}' if last else ''}. All it said is in {log}"


def script_environment(step: ScriptStep, directory: RunDirectory, inherited: Mapping[str, str]) -> dict[str, str]:
    """What the script finds: what an executor of a parallel step finds, but for ranks."""
    return {
        **without_launcher_variables(inherited),
        **step.environment_variables,
        "PYTHONPATH": os.pathsep.join(_search_path(inherited)),
        "MPIBATCH_RUN_DIR": os.fspath(directory.path),
        "MPIBATCH_OUTPUT_DIR": os.fspath(directory.outputs),
        "AZUREML_BI_OUTPUT_PATH": os.fspath(directory.outputs),
        HOME: os.fspath(find_home(inherited)),
        "AZUREML_MODEL_DIR": os.fspath(find_home(inherited) / "models"),
    }


def _search_path(inherited: Mapping[str, str]) -> list[str]:
    """The mpibatch that runs the step is the one that its script imports."""
    own = str(Path(__file__).parents[2])
    named = [part for part in inherited.get("PYTHONPATH", "").split(os.pathsep) if part]
    return named if own in named or "site-packages" in own else [*named, own]


def _write(directory: RunDirectory, state: RunState, reason: str, began: float) -> None:
    """status.json, and at the end summary.json: the script counts as one mini-batch without items."""
    done, failed = int(state is RunState.COMPLETED), int(state is RunState.ABORTED)
    seconds = time.monotonic() - began
    summary = Summary(
        status=state,
        reason=reason,
        mini_batches=MiniBatchCounts(1, done, failed, 1 - done - failed),
        items=ItemCounts(0, 0, 0),
        attempts={},
        seconds=Durations(seconds, 0, seconds),
        output=None,
        ranks=1,
        restarts=0,
    )
    summary.write_status(directory)
    if state is not RunState.RUNNING:
        summary.write(directory)


def _move_aside(path: Path) -> None:
    """A try that did not complete stays, under another name."""
    if path.is_dir() and any(path.iterdir()):
        lease.ensure_unowned(path)
        path.rename(
            next(old for number in count(1) if not (old := path.with_name(f"{path.name}.try{number}")).exists())
        )


def _last_line(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip()[:300] if lines else ""


def _utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
