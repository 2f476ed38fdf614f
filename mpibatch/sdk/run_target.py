"""Where steps run: this machine, or Slurm."""

import re
from dataclasses import dataclass

from mpibatch.errors import WorkspaceError


@dataclass(frozen=True, slots=True)
class LocalCompute:
    """This machine. processes: at most so many at once [its cores]."""

    processes: int | None = None

    def __str__(self) -> str:
        return "this machine" + (f", at most {self.processes} processes" if self.processes else "")


@dataclass(frozen=True, slots=True)
class SlurmCompute:
    """Jobs of Slurm; names and meanings are those of `mpibatch submit`."""

    nodes: int | None = None
    partition: str | None = None
    time: str | None = None
    account: str | None = None
    qos: str | None = None
    memory: str | None = None
    gpus: str | None = None
    constraint: str | None = None

    def __str__(self) -> str:
        return "Slurm" + (f", partition {self.partition}" if self.partition else "")


def parse_compute(text: str) -> LocalCompute | SlurmCompute:
    """`local`, `local:4`, `slurm`, `slurm:nodes=2,partition=gpu`. Raises WorkspaceError."""
    kind, _, rest = text.partition(":")
    options = dict(pair.split("=", 1) for pair in re.split(r",\s*", rest) if "=" in pair)
    if kind == "local" and (not rest or rest.isdecimal()):
        return LocalCompute(int(rest) if rest else None)
    known = set(SlurmCompute.__dataclass_fields__)
    if kind == "slurm" and options.keys() <= known and options.get("nodes", "1").isdecimal():
        nodes = options.pop("nodes", None)
        return SlurmCompute(nodes=int(nodes) if nodes else None, **options)
    raise WorkspaceError(
        f"MPIBATCH_COMPUTE is {text!r}; it must be local, local:PROCESSES, slurm, or slurm:KEY=VALUE,... with keys "
        f"{', '.join(sorted(known))}"
    )
