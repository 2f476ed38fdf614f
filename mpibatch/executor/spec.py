"""What an executor gets at its start: the job, its place, its descriptors. JSON through an inherited memory file."""

import json
import signal
from dataclasses import asdict, dataclass

from mpibatch.config.schema import Job
from mpibatch.config.serialize import from_json, to_json
from mpibatch.executor.staging import StagedInput

DUMP_SIGNAL = signal.SIGRTMIN + 7  # faulthandler writes all stacks on it, in C, also while a call holds the GIL


@dataclass(frozen=True, slots=True)
class ExecutorSpec:
    """One executor's.

    dataset_states: path of what each input's dataset found out while planning
    arguments:  of the script, nothing left to substitute
    cores:      CPU numbers to bind to, empty for all that are allowed
    staged:     side inputs that are to be copied to this node
    script_log: path of entry_script_log
    oom_kills:  path of the kernel's count for this executor's cgroup, "" where it has none of its own
    accept_changes: inputs are read as they are, whatever they were when they were planned
    queue, results, status_block: inherited descriptors
    """

    job: Job
    dataset_states: str
    arguments: tuple[str, ...]
    rank: int
    host: str
    cores: tuple[int, ...]
    staged: tuple[StagedInput, ...]
    script_log: str
    oom_kills: str
    accept_changes: bool
    queue: int
    results: int
    status_block: int

    def to_json(self) -> str:
        fields = {name: getattr(self, name) for name in self.__slots__ if name not in ("job", "staged")}
        staged = [asdict(side) for side in self.staged]
        return json.dumps({**fields, "job": to_json(self.job), "staged": staged})

    @staticmethod
    def from_json(text: str) -> "ExecutorSpec":
        fields = json.loads(text)
        for name in ("arguments", "cores"):
            fields[name] = tuple(fields[name])
        fields["staged"] = tuple(StagedInput(**side) for side in fields["staged"])
        return ExecutorSpec(**{**fields, "job": from_json(fields["job"])})
