"""Why a run has to stop before its end: a signal to any rank, or an allocation that ends soon."""

from dataclasses import dataclass

from mpibatch.liveness.stop_signals import signal_to_rank
from mpibatch.mpi.signals import StopSignals
from mpibatch.scheduling.walltime import Walltime


@dataclass(frozen=True, slots=True)
class StopRequest:
    """reason: in words; grace: seconds that running mini-batches get."""

    reason: str
    grace: float


class StopConditions:
    """What rank 0 watches. grace: seconds that running mini-batches get after a signal."""

    def __init__(self, signals: StopSignals, walltime: Walltime, grace: float) -> None:
        self._signals = signals
        self._walltime = walltime
        self._grace = grace

    def on_signal(self, number: int, rank: int) -> StopRequest:
        """`rank` has received the signal `number`."""
        return StopRequest(f"{signal_to_rank(number)}, received by rank {rank}", self._grace)

    def own_signals(self) -> list[StopRequest]:
        """For the signals that this process has received since the last call."""
        return [self.on_signal(number, 0) for number in self._signals.drain()]

    def check_walltime(self, longest: float) -> StopRequest | None:
        """Whether a mini-batch that takes `longest` seconds could still finish."""
        if self._walltime.allows(longest):
            return None
        left = self._walltime.left()
        reason = f"the allocation ends soon, and a mini-batch takes up to {longest:.3g} s (walltime_margin)"
        return StopRequest(reason, self._grace if left is None else max(0.0, left))
