"""What the scheduler knows of one worker."""

from dataclasses import dataclass, field

from mpibatch.scheduling.window import MovingMean


@dataclass(slots=True)
class WorkerState:
    """mean: how long a mini-batch takes there."""

    rank: int
    assigned: int = 0
    recalling: bool = False
    alone: bool = False  # it holds a suspect, and gets nothing else
    recall_failed: bool = False  # the last recall brought nothing, and nothing was granted since
    bucket: int = 0  # what it holds, where something of that could be recalled
    mean: MovingMean = field(default_factory=MovingMean)
