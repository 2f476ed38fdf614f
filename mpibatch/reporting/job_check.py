"""What `mpibatch validate` prints of a checked job: the plan's shape, and what the settings resolved to."""

import os
from collections.abc import Sequence

from mpibatch.config.choices import OutputAction
from mpibatch.config.schema import Job
from mpibatch.placement.assign import Placement
from mpibatch.placement.layout import RankLayout
from mpibatch.planning.check import CheckedInput, CheckedJob
from mpibatch.reporting.placement_table import placement_text
from mpibatch.reporting.preview import preview
from mpibatch.reporting.text import printable
from mpibatch.types import UNKNOWN

WIDTH = 15  # of the first column
ITEMS_SHOWN = 3
RANKS_SHOWN = 8


def render(checked: CheckedJob, display_path: str, ranks: RankLayout, placements: Sequence[Placement] | str) -> str:
    """The whole text. places: of a node's ranks on a machine like this one, or why there are none."""
    job = checked.job
    lines = [f"{display_path}: valid", *_row("name", job.name), *_row("script", *_script(job))]
    for input in checked.inputs:
        if input.input is None:
            lines += _row("no input", f"{input.plan.total:,} mini-batches")
        else:
            lines += _row(f"input {input.input.name}", *_input(input), *preview(input))
    total = sum(input.plan.total for input in checked.inputs)
    if len(checked.inputs) > 1:
        lines += _row("in all", f"{total:,} mini-batches")
    lines += _row("output", _output(job))
    lines += _row("parameters", *[f"{name} = {value!r}" for name, value in job.parameters.items()])
    lines += _row("limits", *_limits(job))
    lines += _row("tolerated", _tolerated(job))
    lines += _row("environment", *[f"{name}={value}" for name, value in job.config.environment_variables.items()])
    lines += _row("ranks", *_ranks(ranks, placements, total))
    lines += [f"warning: {printable(text)}" for text in checked.warnings]
    return "\n".join(lines)


def _row(name: str, *texts: str) -> list[str]:
    """A name, and what belongs to it below each other."""
    return [f"  {name if place == 0 else '':<{WIDTH}} {text}" for place, text in enumerate(texts)]


def _script(job: Job) -> list[str]:
    lines = [f"{job.config.entry_script} in {job.config.source_directory}"]
    if job.arguments:
        lines.append("arguments: " + " ".join(job.arguments))
    return lines


def _input(checked: CheckedInput) -> list[str]:
    plan = checked.plan
    if plan.total == 0:
        return ["nothing: no mini-batches"]
    items, (smallest, largest) = plan.items, plan.smallest_and_largest()
    sizes = f"{smallest:,}" if smallest == largest else f"{smallest:,} to {largest:,}"
    lines = [
        f"{plan.total:,} mini-batches; how many items only reading them would tell"
        if UNKNOWN in (items, smallest)
        else f"{items:,} items in {plan.total:,} mini-batches of {sizes}"
    ]
    batch = plan.mini_batch(0)
    described = checked.dataset.failed_items(batch.payload, None, batch.items)
    for item in described[:ITEMS_SHOWN]:
        where = f", rows {item.rows[0]}-{item.rows[1] - 1}" if item.rows else ""
        where += f", bytes {item.bytes[0]}-{item.bytes[1] - 1}" if item.bytes else ""
        lines.append(f"{_printable(item.item)}{where}")
    lines[1] = f"mini-batch {checked.first} begins with {lines[1]}"
    if len(described) > ITEMS_SHOWN:
        lines.append(f"and {len(described) - ITEMS_SHOWN} more")
    return lines


def _output(job: Job) -> str:
    config = job.config
    if config.output_action is OutputAction.SUMMARY_ONLY:
        return "no rows are kept (summary_only)"
    return os.path.join(job.output, "<run>", "outputs", config.append_row_file_name)


def _limits(job: Job) -> list[str]:
    config = job.config
    return [
        f"run() {config.run_invocation_timeout:g} s, init() {config.init_timeout:g} s, loading a mini-batch "
        f"{config.load_timeout:g} s",
        f"{config.run_max_try} {'try' if config.run_max_try == 1 else 'tries'} of a mini-batch"
        + (", then of its items one by one (isolate_failures)" if config.isolate_failures else "")
        + (", a second attempt beside a slow one (backup_tasks)" if config.backup_tasks else ""),
    ]


def _tolerated(job: Job) -> str:
    config = job.config
    parts = ["any number of failed items" if config.error_threshold < 0 else f"{config.error_threshold} failed items"]
    if config.allowed_failed_count >= 0:
        parts.append(f"{config.allowed_failed_count} failed mini-batches")
    if config.allowed_failed_percent < 100:
        parts.append(f"{config.allowed_failed_percent:g}% of the mini-batches")
    return ", ".join(parts)


def _ranks(ranks: RankLayout, placements: Sequence[Placement] | str, mini_batches: int) -> list[str]:
    lines = [f"{ranks.total} by default: node_count {ranks.nodes} x process_count_per_node {ranks.per_node}"]
    if mini_batches < ranks.total:
        lines.append(f"only {mini_batches} of them would have work: there are no more mini-batches")
    if isinstance(placements, str):
        return [*lines, f"a machine like this one has no place for them: {placements}"]
    lines += [
        f"local rank {rank}: {placement_text(placement)}" for rank, placement in enumerate(placements[:RANKS_SHOWN])
    ]
    if len(placements) > RANKS_SHOWN:
        lines.append(f"and {len(placements) - RANKS_SHOWN} more on the same node")
    return lines


def _printable(path: str) -> str:
    return path if path.isprintable() else repr(path)
