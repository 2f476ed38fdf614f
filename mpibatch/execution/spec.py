"""What an executor is told at its start: the job, its place, its descriptors. JSON through an inherited memory file."""

import json
import signal
from dataclasses import dataclass

from mpibatch.config.schema import Job
from mpibatch.config.serialize import from_json, to_json

DUMP_SIGNAL = signal.SIGRTMIN + 7  # faulthandler writes all stacks on it, in C, also while a call holds the GIL


@dataclass(frozen=True, slots=True)
class ExecutorSpec:
    """arguments: of the script, nothing left to substitute; queue, results, slot: inherited descriptors;
    cores: CPU numbers to bind to, empty for all that are allowed; script_log: path of entry_script_log."""

    job: Job
    arguments: tuple[str, ...]
    rank: int
    host: str
    cores: tuple[int, ...]
    script_log: str
    queue: int
    results: int
    slot: int

    def to_json(self) -> str:
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "job"}
        return json.dumps({**fields, "job": to_json(self.job)})

    @staticmethod
    def from_json(text: str) -> "ExecutorSpec":
        fields = json.loads(text)
        for name in ("arguments", "cores"):
            fields[name] = tuple(fields[name])
        return ExecutorSpec(**{**fields, "job": from_json(fields["job"])})
