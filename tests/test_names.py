"""Names that were replaced by the field's own terms stay replaced: one word for one thing.

Each old name stands beside its successor. It may be an identifier nowhere, or, where it is a short word, not in the
file in which it was the old thing. In prose it is free.
"""

import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ("mpibatch", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))

REPLACED = {
    # processes and who ends them
    "Lifeline": "DeadmanSwitch",
    "lifeline": "deadman",
    "lookout": "deadman process",
    "guardian": "supervisor",
    "Kept": "SupervisedProcess",
    "DEAF": "IGNORE_SIGNALS",
    "obeyed": "handle_control_message",
    "Hearing": "FailureDetector",
    "hearing": "detector",
    "Beat": "Heartbeat",
    "BEAT_SECONDS": "HEARTBEAT_SECONDS, RENEW_SECONDS",
    "heir": "takeover",
    "InUse": "RunInUse",
    "refuse_if_owned": "ensure_unowned",
    "longest_stop": "max_stopped_seconds",
    # ranks
    "Pace": "Backoff",
    "pace": "backoff",
    "Spread": "ParallelMap, HostLayout",
    "Answering": "MapServer",
    "spread_over": "lay_out",
    "spread_again": "lay_out_again",
    "Opening": "ContextFactory",
    "RankZeroLost": "CoordinatorLost",
    "take_seat": "register",
    "Seated": "Registered",
    "Seat": "RankInfo",
    "Sight": "NodeResources",
    "sight_of": "resources_of",
    "CallOff": "CancelRun",
    "Signalled": "SignalReceived",
    "Solo": "LocalTransport",
    "take_lost": "take_failed",
    "gather_on_host": "allgather_on_node",
    "Farewell": "RunEnd",
    "farewell": "end",
    "see_off": "await_exits",
    "housekeep": "on_progress",
    "hear_seated": "register",
    # orders and reports
    "GiveBack": "RecallTasks",
    "Returned": "TasksReturned",
    "Leave": "Shutdown",
    "Gone": "WorkerExited",
    "Joined": "WorkerReady",
    "Stumbled": "StartFailed",
    "SchemaSeen": "NewSchema",
    # worker and executor
    "Cage": "SandboxedExecutor",
    "cage": "sandbox",
    "caged": "sandboxed",
    "Slot": "StatusBlock",
    "slot": "status_block",
    "disown": "detach",
    "Descriptors": "InheritedFds",
    "take_back": "recall_queued",
    "why_killed": "kill_reason",
    "waits_on": "kernel_wait",
    "Overrun": "PhaseExpired",
    "Attention": "StallDetector",
    "TimeLimits": "PhaseTimeouts",
    "AT_WORK": "TASK_PHASES",
    "STARTS_IN_VAIN": "MAX_FAILED_STARTS",
    "at_nothing": "exited_idle",
    "context_of": "context_for",
    "substituted": "substitute",
    # scheduling
    "Tally": "OutcomeCounts",
    "Limits": "FailureThresholds",
    "Isolation": "Bisection",
    "held_by": "assigned_to",
    "needy": "requesters",
    # a run and its job
    "Wishes": "ResumeOptions",
    "wishes": "options",
    "Opened": "RunContext",
    "CHANGEABLE": "resumable",
    "begin_or_go_on": "create_or_resume",
    "nothing_left": "nothing_to_do",
    "job_of": "read_job",
    "job_in": "parse_job",
    "NAME_RULE": "NAME.words",
    # planning and datasets
    "Slice": "Split",
    "MiniBatches": "MiniBatchRange",
    "thaw": "load_state",
    "freeze": "dump_state",
    "Cause": "AttemptOutcome",
    "Loaded": "LoadedBatch",
    "WrongReturn": "InvalidReturn",
    "WrongCut": "CutInsideQuotes",
    "CutUp": "FileCuts",
    "Marks": "Delimiters",
    "lost_rows": "failed_row_ranges",
    "_leads_back": "_is_link_cycle",
    # output and runs
    "Finalizer": "FinalizeFormat",
    "open_writer": "open_format",
    "Recorder": "RunWriter",
    "recorder": "writer",
    "History": "RecoveredRun",
    "UNSEEN": "None",
    "cannot_write": "write_error",
    "fresh_name": "new_run_name",
    "point_latest_at": "update_latest",
    "results_in": "has_results",
    "refuse_changed_inputs": "ensure_inputs_unchanged",
    # launching and cluster
    "BARREN": "MAX_FRUITLESS",
    "hand_over": "submit",
    "HOPELESS": "NEVER_STARTS",
    "survives_losses": "has_ulfm",
    "start_words": "mpirun_command",
    "misfit": "mismatch",
    "singletons": "singleton_mismatch",
    "not_together": "mismatch_message",
    "launched_by": "detect_launcher",
    "wanted_ranks": "requested_layout",
    "disagreements": "layout_warnings",
    "print_anything": "escape_unencodable",
    "TOLD": "REASON_PRINTED",
}

REPLACED_IN = {
    "mpibatch/mpi/coordinator.py": {"_look", "_hear", "_act", "_lose", "_retire", "_beat", "_ended", "dismiss", "tell"},
    "mpibatch/mpi/parallel_map.py": {"Ask", "Question", "Answer", "told", "owed", "patience"},
    "mpibatch/mpi/coordinator_main.py": {"lead", "own", "say", "tell", "board"},
    "mpibatch/mpi/worker_main.py": {"serve", "trusted"},
    "mpibatch/mpi/transport.py": {"sending", "broken"},
    "mpibatch/liveness/deadman.py": {"hold", "within", "to_parent", "none"},
    "mpibatch/liveness/failure_detector.py": {"heard", "forget", "silent"},
    "mpibatch/liveness/lease.py": {"beat", "lives", "Watch", "is_silent", "tell"},
    "mpibatch/worker/worker.py": {"_bury", "_culprit", "_charge", "_pull_back", "_give_back", "_leave", "recycle"},
    "mpibatch/worker/executor_process.py": {"offer", "spilling", "look", "Life", "Arrived"},
    "mpibatch/scheduling/scheduler.py": {"dry", "shelf", "joined", "left", "FRESH", "Policy"},
    "mpibatch/runs/results_log.py": {"scan", "Record"},
    "mpibatch/runs/recovery.py": {"Position", "damage"},
    "mpibatch/runs/assembly.py": {"Refused", "STRETCH", "PIECE", "learn", "settle"},
    "mpibatch/runs/summary.py": {"State", "Seconds"},
    "mpibatch/config/problems.py": {"say", "hit", "wrong", "spell", "show", "meant"},
    "mpibatch/cli/main.py": {"opening", "opened", "warned", "redirected"},
    "mpibatch/reporting/console.py": {"tell", "silence"},
    "mpibatch/launching/run.py": {"judge", "recorded", "watch"},
}
"""Short words, which are old names in these files only."""


def identifiers(path: Path) -> set[str]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_replaced_name_comes_back(path: Path) -> None:
    old = identifiers(path) & (REPLACED.keys() | REPLACED_IN.get(name_of(path), set()))
    assert not old, {name: REPLACED.get(name, "see its file") for name in old}


def test_the_files_of_short_words_exist() -> None:
    """A file that was renamed takes its list with it."""
    assert REPLACED_IN.keys() <= set(map(name_of, FILES))
