"""Who gives way to whom: a rank's loop to executors, and they to nobody."""

import os
import subprocess
import sys
import threading

from mpibatch.worker import background

SHOW = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]


def policy_of_a_child() -> int:
    return int(subprocess.run(SHOW, stdout=subprocess.PIPE, check=True).stdout)


def test_the_loop_gives_way_and_what_it_starts_does_not() -> None:
    seen: list[int] = []

    def loop() -> None:
        with background.giving_way():
            seen.append(os.sched_getscheduler(0))
            with background.not_giving_way():
                seen.append(policy_of_a_child())
            seen.append(os.sched_getscheduler(0))
        seen.append(os.sched_getscheduler(0))

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join()
    assert seen == [os.SCHED_BATCH, os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_OTHER]


def test_a_policy_that_somebody_has_chosen_stands() -> None:
    idle = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
    body = "print(os.sched_getscheduler(0), end=' ')"
    program = f"import os; from mpibatch.worker import background as b; {idle}\nwith b.giving_way(): {body}"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == f"{os.SCHED_IDLE} "
