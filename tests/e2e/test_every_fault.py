"""One job with every fault there is, thresholds, and poison items, from the command line to the files left behind."""

from collections import Counter

import pytest

from tests.conftest import Job

pytestmark = pytest.mark.processes

TIMEOUT = 1.0

# of 200 mini-batches of two files: what the script does at them
FAULTS = {
    7: "loop", 107: "loop", 23: "sleep", 41: "gil", 50: "segfault", 150: "segfault", 60: "exit", 61: "exit",
    70: "sigkill", 171: "sigkill", 80: "raise", 181: "raise", 90: "system exit", 190: "system exit", 99: "short",
    120: "short", 5: "daemon", 130: "daemon", 199: "none",
}  # fmt: skip
CAUSES = {
    "loop": "timeout", "sleep": "timeout", "gil": "timeout", "segfault": "executor_crash", "exit": "executor_crash",
    "sigkill": "executor_crash", "raise": "user_error", "system exit": "user_error", "none": "wrong_return",
    "short": "wrong_return",
}  # fmt: skip
SAID = {"segfault": "SIGSEGV", "exit": "exit status 1", "sigkill": "SIGKILL", "raise": "ValueError: at 80"}
SCRIPT = (
    f"FAULTS = {FAULTS}\n"
    + """
def daemonize():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv("/bin/sleep", ["sleep", "1000"])
        os._exit(0)
    os.wait()

def run(mini_batch, context):
    match FAULTS.get(context.minibatch_index):
        case "loop":
            while True: pass
        case "sleep":
            time.sleep(1000)
        case "gil":
            lock = ctypes.create_string_buffer(64)
            for _ in range(2): ctypes.PyDLL(None).pthread_mutex_lock(lock)
        case "segfault": ctypes.string_at(0)
        case "exit": os._exit(1)
        case "sigkill": os.kill(os.getpid(), signal.SIGKILL)
        case "raise": raise ValueError(f"at {context.minibatch_index}")
        case "system exit": sys.exit(1)
        case "short": return names(mini_batch)[:1]
        case "none": return None
        case "daemon": daemonize()
    time.sleep(0.02)
    return names(mini_batch)
"""
)


def test_every_fault_in_one_job(either_mpi: Job) -> None:
    job = either_mpi
    job.write(SCRIPT, 400, mini_batch_size=2, run_max_try=2, error_threshold=-1, run_invocation_timeout=TIMEOUT)
    done = job.run(ranks=2)
    assert done.status == 0, done.said()
    lost = {index for index, fault in FAULTS.items() if fault not in ("daemon", "short")}
    expected = []
    for number in range(400):
        short = FAULTS.get(number // 2) == "short" and number % 2
        if number // 2 not in lost and not short:
            expected.append(f"{number:04}")
    assert done.rows == expected, "every healthy item in order, once"

    counted = Counter(line["mini_batch"] for line in done.failed)
    assert counted == {**dict.fromkeys(lost, 2), 99: 1, 120: 1}
    assert [line["mini_batch"] for line in done.failed] == sorted(counted.elements())
    for line in done.failed:
        fault = FAULTS[line["mini_batch"]]
        assert line["cause"] == CAUSES[fault], line
        assert SAID.get(fault, "").split(" at ")[0] in line["error"]
        assert line["tries"] == (1 if fault == "short" else 2)
        if fault == "short":
            assert line["missing"] == 1
            assert len(line["candidates"]) == 2
    items = done.summary["items"]
    assert (items["total"], items["succeeded"], items["failed"]) == (400, len(expected), 400 - len(expected))
    assert done.summary["mini_batches"] == {"total": 200, "succeeded": 185, "failed": 15, "remaining": 0}

    hangs = [event for event in done.events if event["cause"] == "timeout"]
    assert len(hangs) == 2 * sum(CAUSES.get(fault) == "timeout" for fault in FAULTS.values())
    for hang in hangs:
        assert TIMEOUT <= hang["run"] <= TIMEOUT + 2
    assert any(
        event["rank"] != hang["rank"] and 0 < event["started"] - hang["started"] < TIMEOUT
        for hang in hangs
        for event in done.events
    ), "others go on meanwhile"


FAILING = """
def run(mini_batch):
    for name in names(mini_batch):
        if name.startswith("bad"):
            raise ValueError(f"no good: {name}")
    return names(mini_batch)
"""


@pytest.mark.ci
@pytest.mark.parametrize("by_mpirun", [False, True], ids=["plainly", "mpirun"])
def test_as_many_failed_items_as_are_tolerated(by_mpirun: bool, job: Job) -> None:
    job.write(FAILING, [*(f"bad{n:02}" for n in range(10)), *(f"good{n}" for n in range(90))], error_threshold=10)
    done = job.run(by_mpirun=by_mpirun)
    assert done.status == 0, done.said()
    assert len(done.rows) == 90
    assert len(done.failed) == 10
    assert done.summary["status"] == "completed"


@pytest.mark.ci
@pytest.mark.parametrize("by_mpirun", [False, True], ids=["plainly", "mpirun"])
def test_one_failed_item_too_many(by_mpirun: bool, job: Job) -> None:
    """Promptly: the rest, which would take minutes, is not waited for. The first traceback is on the console."""
    slow = FAILING.replace("    return", "    time.sleep(5)\n    return")
    job.write(slow, [*(f"bad{n:02}" for n in range(11)), *(f"good{n}" for n in range(90))], error_threshold=10)
    done = job.run(by_mpirun=by_mpirun)
    assert done.status == 3, done.said()
    assert len([event for event in done.events if event["cause"] == "succeeded"]) < 45
    assert done.summary["status"] == "aborted"
    assert "11 items failed, more than error_threshold: 10" in done.summary["reason"]
    assert "Traceback" in done.stdout + done.stderr
    assert "ValueError: no good: bad0" in done.stdout + done.stderr


@pytest.mark.ci
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_poison_file_among_a_hundred(ranks: int, job: Job) -> None:
    script = """
    def run(mini_batch):
        if "0042" in names(mini_batch):
            ctypes.string_at(0)
        return names(mini_batch)
    """
    job.write(script, 100, mini_batch_size=100, isolate_failures=True, run_max_try=2, error_threshold=1)
    done = job.run(ranks=ranks)
    assert done.status == 0, done.said()
    assert done.rows == [f"{number:04}" for number in range(100) if number != 42]
    (line,) = done.failed
    assert (line["item"], line["cause"]) == (str(job.folder / "data" / "0042"), "executor_crash")
    assert "SIGSEGV" in line["error"]


@pytest.mark.ci
def test_columns_that_fit_no_others_count_against_the_threshold(job: Job) -> None:
    """Found out by assembly, after every attempt has succeeded."""
    script = "def run(mini_batch): return [{'odd' if '3' in names(mini_batch)[0] else 'even': 1}]"
    job.write(script, 5, append_row_file_name="rows.csv")
    done = job.run()
    assert done.status == 3, done.said()
    assert "['odd']" in done.summary["reason"] + done.stdout
    job.write(script, 5, append_row_file_name="rows.csv", error_threshold=1)
    done = job.run()
    assert done.status == 0, done.said()
    assert (done.run_dir / "outputs" / "rows.csv").read_text() == "even\n1\n1\n1\n1\n"


@pytest.mark.ci
@pytest.mark.parametrize("ranks", [1, 3])
def test_init_that_fails_everywhere(ranks: int, job: Job) -> None:
    job.write("def init(): raise OSError('no model here')\ndef run(m): return m", 5)
    done = job.run(ranks=ranks)
    assert done.status == 3, done.said()
    assert "OSError: no model here" in done.stdout + done.stderr
    assert done.summary["status"] == "aborted"
    assert done.summary["mini_batches"]["remaining"] == 5


@pytest.mark.ci
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_more_ranks_than_mini_batches(ranks: int, job: Job) -> None:
    job.write("def run(mini_batch): return names(mini_batch)", 1)
    done = job.run(ranks=ranks)
    assert done.status == 0, done.said()
    assert done.rows == ["0000"]
