"""A worker's tasks: those that wait for the executor, and those that it was sent and has not answered.

granted --extend--> backlog --next_packet, sent--> outstanding --done--> answered
                       ^                               |
                       +--- requeue (recalled, or the executor has died before it began them)

What is cancelled leaves the backlog at once, and comes back to it from nowhere.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice

from mpibatch.executor.protocol import Task


class TaskQueue:
    """In the order in which the tasks were granted."""

    def __init__(self) -> None:
        self._backlog: deque[Task] = deque()
        self._outstanding: dict[int, Task] = {}
        self.cancelled: set[int] = set()  # mini-batches that nobody waits for; the executor may be at one of them

    @property
    def backlog(self) -> int:
        """How many tasks wait."""
        return len(self._backlog)

    @property
    def outstanding(self) -> int:
        """How many tasks the executor was sent and has not answered."""
        return len(self._outstanding)

    @property
    def first(self) -> Task:
        """The task that is next; there has to be one."""
        return self._backlog[0]

    def extend(self, tasks: Iterable[Task]) -> None:
        """More tasks, to be done after all others."""
        self._backlog.extend(tasks)

    def next_packet(self, at_most: int) -> list[Task]:
        """The next tasks that may go to the executor together: a mini-batch that is to be isolated goes alone."""
        packet = list(islice(self._backlog, at_most))
        return packet[:1] if any(task.isolate_items for task in packet) else packet

    def sent(self, packet: list[Task]) -> None:
        """The tasks of `next_packet` are with the executor."""
        for task in packet:
            self._backlog.popleft()
            self._outstanding[task.mini_batch.index] = task

    def done(self, index: int) -> Task | None:
        """The executor has answered for mini-batch `index`: its task, None if it was not outstanding."""
        return self._outstanding.pop(index, None)

    def put_back(self, task: Task) -> bool:
        """The answer for `task` does not count: it is next again. False, for no answer."""
        self._backlog.appendleft(task)
        self._drop_cancelled()
        return False

    def outstanding_task(self, index: int) -> Task | None:
        """The outstanding task of mini-batch `index`."""
        return self._outstanding.get(index)

    def requeue(self, tasks: Iterable[Task]) -> None:
        """These outstanding ones, in order, were not begun: they are next again."""
        self._backlog.extendleft(self._outstanding.pop(task.mini_batch.index) for task in reversed(list(tasks)))
        self._drop_cancelled()

    def cancel(self, indices: Iterable[int]) -> None:
        """Nobody waits for these mini-batches any more."""
        self.cancelled.update(indices)
        self._drop_cancelled()

    def _drop_cancelled(self) -> None:
        if self.cancelled:
            self._backlog = deque(task for task in self._backlog if task.mini_batch.index not in self.cancelled)
            self.cancelled &= self._outstanding.keys()

    def requeue_all(self) -> None:
        """Whatever is outstanding is next again."""
        self.requeue(list(self._outstanding.values()))

    def take_last(self, count: int) -> list[Task]:
        """Up to `count` of those that wait, the last first."""
        return [self._backlog.pop() for _ in range(min(count, len(self._backlog)))]

    def take_backlog(self) -> list[Task]:
        """All that wait."""
        tasks = list(self._backlog)
        self._backlog.clear()
        return tasks

    def take_all(self) -> list[Task]:
        """All there are, the outstanding ones first."""
        tasks = [*self._outstanding.values(), *self._backlog]
        self._outstanding.clear()
        self._backlog.clear()
        return tasks
