"""Workers from which something could be recalled: the one that holds most is found at once, however many there are."""

from mpibatch.scheduling.worker_state import WorkerState


class RecallCandidates:
    """Ranks by how much they hold; `WorkerState.bucket` says where a worker stands, 0 for nowhere."""

    def __init__(self) -> None:
        self._ranks: dict[int, set[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._ranks)

    def put(self, worker: WorkerState, held: int) -> None:
        """So much of what `worker` holds could be recalled in part; 0: nothing."""
        if held == worker.bucket:
            return
        if worker.bucket:
            self._ranks[worker.bucket].discard(worker.rank)
            if not self._ranks[worker.bucket]:
                del self._ranks[worker.bucket]
        if held:
            self._ranks.setdefault(held, set()).add(worker.rank)
        worker.bucket = held

    def most(self) -> int:
        """One of those that hold most; there has to be one."""
        return next(iter(self._ranks[max(self._ranks)]))
