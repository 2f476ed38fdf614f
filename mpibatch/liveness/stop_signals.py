"""The signals that ask a run to stop, and what a person calls them.

    terminal, Slurm, kill --STOP_SIGNALS--> launcher --PASSED_ON--> mpirun --PASSED_ON--> ranks

Every mpirun ends its ranks on SIGINT and SIGTERM. PASSED_ON is the one signal that each passes on and outlives, so that
a rank cannot tell a Ctrl-C from what else the launcher was sent.
"""

import signal

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
PASSED_ON = signal.SIGUSR1


def signal_name(number: int) -> str:
    """`Ctrl-C`, `SIGTERM`: to a launcher."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def signal_to_rank(number: int) -> str:
    """The same to a rank."""
    return "Ctrl-C or a signal to the launcher" if number == PASSED_ON else signal_name(number)
