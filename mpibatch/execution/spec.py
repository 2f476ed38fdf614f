"""What an executor is told at its start: the job, its place, its descriptors. JSON through an inherited memory file."""

import json
import signal
from dataclasses import asdict, dataclass

from mpibatch.config.schema import Job
from mpibatch.config.serialize import from_json, to_json
from mpibatch.execution.staging import Staged

DUMP_SIGNAL = signal.SIGRTMIN + 7  # faulthandler writes all stacks on it, in C, also while a call holds the GIL


@dataclass(frozen=True, slots=True)
class ExecutorSpec:
    """One executor's.

    frozen:     what each input's dataset found out while planning
    arguments:  of the script, nothing left to substitute
    cores:      CPU numbers to bind to, empty for all that are allowed
    staged:     side inputs that are to be copied to this node
    script_log: path of entry_script_log
    queue, results, slot: inherited descriptors
    """

    job: Job
    frozen: tuple[bytes, ...]
    arguments: tuple[str, ...]
    rank: int
    host: str
    cores: tuple[int, ...]
    staged: tuple[Staged, ...]
    script_log: str
    queue: int
    results: int
    slot: int

    def to_json(self) -> str:
        fields = {name: getattr(self, name) for name in self.__slots__ if name not in ("job", "frozen", "staged")}
        frozen = [data.hex() for data in self.frozen]
        staged = [asdict(side) for side in self.staged]
        return json.dumps({**fields, "job": to_json(self.job), "frozen": frozen, "staged": staged})

    @staticmethod
    def from_json(text: str) -> "ExecutorSpec":
        fields = json.loads(text)
        for name in ("arguments", "cores"):
            fields[name] = tuple(fields[name])
        fields["frozen"] = tuple(bytes.fromhex(data) for data in fields["frozen"])
        fields["staged"] = tuple(Staged(**side) for side in fields["staged"])
        return ExecutorSpec(**{**fields, "job": from_json(fields["job"])})
