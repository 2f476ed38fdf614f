"""What would make the next run faster or safer, from this run's measurements: each with the setting and the figures."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mpibatch.attempts import AttemptOutcome
from mpibatch.config.schema import RunConfig
from mpibatch.reporting.analysis import Analysis
from mpibatch.runs.summary import Summary

LONG_ENOUGH = 5.0  # seconds of a run that is worth advice about speed


@dataclass(frozen=True, slots=True)
class Advice:
    """setting: what to change; text: why, in figures, and to what."""

    setting: str
    text: str


def advise(summary: Summary, config: RunConfig, analysis: Analysis | None) -> list[Advice]:
    """The most important first; nothing where nothing was measured."""
    if analysis is None:
        return []
    found = list(_safety(summary, config, analysis))
    if analysis.seconds >= LONG_ENOUGH and len(analysis.run):
        found += _speed(config, analysis)
    return found


def _safety(summary: Summary, config: RunConfig, analysis: Analysis) -> Iterator[Advice]:
    limit = config.run_invocation_timeout
    timeouts = summary.attempts.get(AttemptOutcome.TIMEOUT.name.lower(), 0)
    longest = float(analysis.run.max()) if len(analysis.run) else 0.0
    if timeouts:
        yield Advice(
            "run_invocation_timeout",
            f"{timeouts} calls of run() took longer than {limit:g} s and were ended. If they only needed more time, "
            f"try {_round_up(2 * limit)}; if they hung, `logs/user/stderr` has their stacks.",
        )
    elif longest > 0.7 * limit:
        yield Advice(
            "run_invocation_timeout",
            f"the longest run() took {longest:.3g} s of the {limit:g} s it may take: a slower machine would end it. "
            f"Try {_round_up(2 * longest)}.",
        )
    fullest = _worst(analysis, "memory_bytes", "memory_total_bytes")
    if fullest > 0.9:
        yield Advice(
            "process_count_per_node",
            f"memory was {fullest:.0%} full at its fullest. Fewer executors on a node, or smaller mini-batches, keep "
            "the out-of-memory killer away.",
        )
    too_large = summary.attempts.get(AttemptOutcome.OUT_OF_MEMORY.name.lower(), 0)
    if too_large:
        why = (
            "by the kernel: the node, or the job's share of it, had no more memory"
            if config.memory_per_process is None
            else f"for the memory that it used, more than {config.memory_per_process} or than there was"
        )
        yield Advice(
            "memory_per_process",
            f"{too_large} times an executor was ended {why}. Smaller mini-batches use less, and fewer executors on a "
            "node leave each more; `replace_above` replaces an executor that leaks before it comes so far.",
        )
    if summary.items.failed and not config.isolate_failures and summary.mini_batches.failed:
        lost = summary.items.failed / summary.mini_batches.failed
        if lost >= 2:
            yield Advice(
                "isolate_failures",
                f"{summary.mini_batches.failed} mini-batches failed with all of their {lost:.3g} items. "
                "`isolate_failures: true` runs the parts of such a mini-batch, and loses only the items that fail.",
            )


def _speed(config: RunConfig, analysis: Analysis) -> Iterator[Advice]:
    totals, executors = analysis.totals, len(analysis.lanes)
    work = totals["run"] + totals["encode"]
    noticed = 0.05 * executors * analysis.seconds  # seconds of executors: what takes less is no matter
    if totals["init"] > max(noticed, 0.5 * (work + totals["init"])) and analysis.starts:
        yield Advice(
            "init() and process_count_per_node",
            f"init() took {totals['init']:.3g} s of the executors' time, and run() {work:.3g} s. "
            + (
                f"{len(analysis.starts)} executors were started for {executors} ranks: one is replaced after a failure "
                "in it (`executor_restart`). Mend what fails first."
                if len(analysis.starts) > 2 * executors
                else "Fewer executors, or more data in one run, pay for it."
            ),
        )
    if totals["load"] > max(noticed, 0.3 * (work + totals["load"])):
        yield Advice(
            "mini_batch_size, side_inputs or storage",
            f"executors waited {totals['load']:.3g} s for data, beside {work:.3g} s of work: reading cannot keep up. "
            "Larger mini-batches read in longer pieces; a copy on node-local disk, or fewer executors, help too.",
        )
    median, longest = float(np.median(analysis.run)), float(analysis.run.max())
    each = len(analysis.run) // max(executors, 1)
    too_small = median < 0.002 and analysis.busy_share < 0.5
    if too_small and each >= 20:  # what a few mini-batches cost is no matter of their size
        yield Advice(
            "mini_batch_size",
            f"half of the calls of run() took less than {1000 * median:.2g} ms, and executors were busy "
            f"{analysis.busy_share:.0%} of the time: the rest is overhead. Try mini-batches "
            f"{min(max(2, round(0.02 / max(median, 1e-5))), each // 4)} times as large.",
        )
    busy = analysis.busy(100)
    at_work = np.flatnonzero(busy > 0.5 * executors)
    tail = 99 - int(at_work[-1]) if len(at_work) else 0
    if executors > 1 and tail >= 15 and not too_small:
        straggler = longest > 5 * median and longest > 0.01 * tail * 0.8 * analysis.seconds
        yield Advice(
            "mini_batch_size",
            f"for the last {tail}% of the time ({tail * analysis.seconds / 100:.3g} s) more than half of the "
            "executors had nothing to do"
            + (
                f": one run() took {longest:.3g} s, where the median is {median:.3g} s. The report names it. Where its "
                "node was what was slow, `backup_tasks: true` begins such a mini-batch a second time elsewhere."
                if straggler
                else ". Smaller mini-batches end together."
            ),
        )
    gpus = [columns["gpu_percent"] for columns in analysis.resources.values() if "gpu_percent" in columns]
    used = [float(np.nanmean(column)) for column in gpus if len(column) and not np.isnan(column).all()]
    if used and max(used) < 30:
        yield Advice(
            "processes_per_gpu",
            f"GPUs were busy {max(used):.0f}% of the time. Let executors share them (`processes_per_gpu: 2`), or make "
            "mini-batches larger so that run() can use larger batches.",
        )


def _worst(analysis: Analysis, used: str, total: str) -> float:
    """The largest share on any host."""
    shares = [
        float(np.nanmax(columns[used] / columns[total]))
        for columns in analysis.resources.values()
        if used in columns and total in columns and len(columns[used]) and not np.isnan(columns[used]).all()
    ]
    return max(shares, default=0.0)


def _round_up(seconds: float) -> str:
    """To one digit that a person would write."""
    magnitude = 10 ** int(np.floor(np.log10(max(seconds, 1.0))))
    return f"{int(np.ceil(seconds / magnitude)) * magnitude}"
