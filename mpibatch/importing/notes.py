"""What an import leaves out, a line each, and the problems that end one."""

from dataclasses import dataclass, field
from typing import Any

from mpibatch.errors import UsageError


class ImportProblem(UsageError):
    """An Azure file that cannot be taken over at all."""


@dataclass(slots=True)
class Imported:
    """data: of a job or pipeline file of ours. notes: what has no counterpart, or was decided."""

    data: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, where: str, what: str) -> None:
        line = f"{where}: {what}" if where else what
        if line not in self.notes:
            self.notes.append(line)

    def leave_out(self, where: str, section: dict[str, Any], known: set[str], why: str = "has no counterpart") -> None:
        """Notes the keys of a section that nobody reads."""
        for key in section.keys() - known:
            if section[key] not in (None, {}, []):
                self.note(where, f"{key} {why}")
