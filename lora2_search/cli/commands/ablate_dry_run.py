"""What `ablate --dry-run` shows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...ablation import Circumstances, reusable, suite_folder
from ...analysis import named_arms
from ...config import RunInfo
from ...config.suite import BASE, Suite
from ...experiments import check_suite_inputs
from ...report import before_the_run
from ...store import readable_record
from ..console.rows import duration, print_json
from ..console.say import narrator
from .tune_dry_run import forecast_at_once, free_mb, local_cpus_and_gpus, measured

if TYPE_CHECKING:
    from ...training import Estimate


@dataclass(frozen=True)
class Forecast:
    """What a suite would cost and could show, every run counted as long as the base's.

    Attributes:
        runs: All of them, those that tune arms among them.
        already_there: Runs that exist already.
        taken_over: Runs of other suites and studies that are reused.
        left: Runs to train.
        at_once: Runs that train side by side.
        seconds_per_run: By task, as are ``sentences`` (by split) and ``parameters``.
        seconds: Of the runs that are left.
        seconds_at_most: Of all seeds that interim analyses may add; ``None`` where they are fixed.
        differences: What each arm changes: the base's value and its own, by setting.
        power: What the seeds can find, in words.
        cannot_be_tested: What the suite could not say, however its runs end.
    """

    name: str
    runs: int
    tuning_runs: int
    already_there: int
    taken_over: int
    left: int
    at_once: int
    seconds_per_run: Mapping[str, float]
    sentences: Mapping[str, Mapping[str, int]]
    parameters: Mapping[str, Mapping[str, int]]
    seconds: float
    seconds_at_most: float | None
    disk_mb: float
    disk_free_mb: float
    differences: Mapping[str, Mapping[str, tuple[Any, Any]]]
    power: Sequence[str]
    cannot_be_tested: Sequence[str]


def difference_lines(suite: Suite) -> list[str]:
    """Return a line an arm: every setting that differs from the base's, defaults included."""
    return [
        f"  {arm}: {', '.join(_change(key, *values) for key, values in changed.items())}"
        for arm, changed in suite.differences().items()
        if changed
    ]


def _change(key: str, before: Any, after: Any) -> str:
    return f"{key} {json.dumps(before)} -> {json.dumps(after)}"


def suite_dry_run(
    suite: Suite, storage: Path | None, as_json: bool, *, reuse: bool = True, here: bool = True
) -> None:
    """Print what a suite would cost and could show; nothing of it is kept.

    Args:
        suite: What would be run, with the seeds of its first look where looks decide.
        storage: Where it would be.
        as_json: Print JSON.
        reuse: Whether runs of other suites and studies would be taken over.
        here: Whether this machine alone would run it, or a cluster.

    Raises:
        ConfigError: Model or data are missing or wrong, or a run asks for more than there is.
        UserError: The hub or the package index cannot be reached.
    """
    say = narrator(as_json)
    for line in check_suite_inputs(suite, say):
        say(line)
    cpus, gpus = local_cpus_and_gpus()
    resources = suite.resources.with_gpus(suite.training.device, bool(gpus))
    at_a_time = forecast_at_once(resources, cpus, gpus, here=here)
    circumstances = Circumstances.here(resources) if reuse else None
    say("measuring a few steps of the base" + (" on every task" if suite.tasks else ""))
    estimates = {
        task: measured(suite.run_config(BASE, suite.seed_list[0], task), resources)
        for task in suite.task_names
    }
    result = forecast(suite, estimates, storage, at_a_time, circumstances)
    if as_json:
        print_json(result)
        return
    for line in _told(suite, result):
        print(line)


def forecast(
    suite: Suite,
    estimates: Mapping[str, Estimate],
    storage: Path | None,
    at_a_time: int,
    circumstances: Circumstances | None,
) -> Forecast:
    """Return what a suite would cost.

    Args:
        suite: What would be run.
        estimates: The cost of a run of the base, by task.
        storage: Where it would be.
        at_a_time: Runs that go on side by side.
        circumstances: Those of its runs; ``None`` where none would be taken over.
    """
    folder = suite_folder(suite.name, storage)
    tuning, runs = suite.tuning_runs(folder), suite.runs(folder)
    there = {run.key for run in (*tuning, *runs) if _completed(run)}
    taken = _taken_over([*tuning, *runs], folder.parents[1], circumstances)
    left = [run for run in (*tuning, *runs) if run.key not in there | taken]
    unknown = still_unknown(suite)
    # A tuning run is of the base's own task, which a suite of several tasks may not run.
    other = next(iter(estimates.values()))
    costs = [estimates.get(run.task, other) for run in left] + [other] * unknown
    checkpoints = at_a_time * max((cost.checkpoint_mb for cost in costs), default=0.0)
    return Forecast(
        name=suite.name,
        runs=len(tuning) + len(runs) + unknown,
        tuning_runs=len(tuning) + unknown,
        already_there=len(there),
        taken_over=len(taken),
        left=len(left) + unknown,
        at_once=at_a_time,
        seconds_per_run={task: cost.seconds for task, cost in estimates.items()},
        sentences={task: cost.sizes for task, cost in estimates.items()},
        parameters={task: cost.counts for task, cost in estimates.items()},
        seconds=_seconds([cost.seconds for cost in costs], at_a_time),
        seconds_at_most=_at_most(suite, costs, estimates, at_a_time),
        disk_mb=sum(cost.disk_mb for cost in costs) + checkpoints,
        disk_free_mb=free_mb(folder),
        differences=suite.differences(),
        power=power_lines(suite),
        cannot_be_tested=untestable(suite),
    )


def still_unknown(suite: Suite) -> int:
    """Return how many tuning runs there will be whose settings earlier ones decide."""
    if suite.tuning is None or suite.tuned is not None:
        return 0
    return suite.tuning.left_over * len(suite.tuning.seed_list)


def power_lines(suite: Suite) -> list[str]:
    """Return what the seeds of a suite can find; with interim analyses, those of the last."""
    tasks = len(suite.task_names)
    comparisons, claims = len(suite.pairs) + len(suite.contrasts), len(suite.equivalence)
    plan = suite.sequential if suite.until_decided else None
    seeds = len(suite.seed_list) if plan is None else plan.most
    return before_the_run(seeds, comparisons * tasks, claims * tasks, plan)


def untestable(suite: Suite) -> list[str]:
    """Return what a suite could not say, however its runs end."""
    lines = []
    if suite.floor is None:
        than = "it knew untrained" if suite.is_language else "its head alone"
        missing = f"there is no {suite.floor_method} arm"
        lines.append(f"whether the base learns more than {than}: {missing}")
    claims = [(item.arm, item.reference) for item in suite.equivalence]
    compared = named_arms(suite.pairs, suite.contrasts, claims)
    alone = [arm for arm in suite.arms if arm not in compared | {BASE, suite.floor}]
    if alone:
        lines.append(f"{', '.join(alone)}: no comparison names it, so it is exploratory")
    if not suite.equivalence:
        lines.append("that two arms are equal: no equivalence margin is named")
    if not (suite.pairs or suite.contrasts):
        lines.append("any difference: no comparison and no contrast is named")
    return lines


def _taken_over(
    runs: list[RunInfo], storage: Path, circumstances: Circumstances | None
) -> set[str]:
    return set(reusable(runs, storage, circumstances)) if circumstances else set()


def _at_most(
    suite: Suite, costs: list[Estimate], estimates: Mapping[str, Estimate], at_a_time: int
) -> float | None:
    """Return the seconds of all seeds that looks may ask for; ``None`` where seeds are fixed."""
    if not suite.until_decided:
        return None
    more = max(0, suite.sequential.most - len(suite.seed_list)) * len(suite.arms)
    later = [estimates[task].seconds for task in suite.task_names for _ in range(more)]
    return _seconds([*(cost.seconds for cost in costs), *later], at_a_time)


def _completed(run: RunInfo) -> bool:
    record = readable_record(run.folder)
    return record is not None and record.status == "completed"


def _seconds(each: list[float], at_a_time: int) -> float:
    # As many rounds as the last run needs: 5 runs, 2 at a time, take three.
    mean = sum(each) / len(each) if each else 0.0
    return math.ceil(len(each) / at_a_time) * mean


def _told(suite: Suite, result: Forecast) -> list[str]:
    tuned = f", {result.tuning_runs} of them to tune arms" if result.tuning_runs else ""
    tasks = f" x {len(suite.tasks)} tasks" if suite.tasks else ""
    lines = [
        f"Suite {suite.name} on this machine would take:",
        f"Runs:        {result.runs} ({len(suite.arms)} arms x {len(suite.seed_list)} seeds"
        f"{tasks}{tuned}): {result.already_there} exist already, {result.taken_over} are "
        f"reused, {result.left} are left",
    ]
    for task, seconds in result.seconds_per_run.items():
        sizes = ", ".join(f"{n:,} {split}" for split, n in result.sentences[task].items())
        where = f" on {task}" if task else ""
        lines.append(f"One run:     {duration(seconds)}{where} ({sizes} sentences)")
    lines.append(
        f"In all:      about {duration(result.seconds)}, {result.at_once} at a time, each "
        "counted as long as the base's"
    )
    if result.seconds_at_most is not None:
        plan = suite.sequential
        lines.append(
            f"             that is the interim analysis at {len(suite.seed_list)} seeds; "
            f"{plan.every} more at a time, at most {plan.most}: "
            f"{duration(result.seconds_at_most)}"
        )
    free = result.disk_free_mb / 1024
    lines.append(f"Disk:        {result.disk_mb:,.0f} MiB; {free:,.0f} GiB are free")
    lines += ["Arms, by what each changes:", *difference_lines(suite)]
    lines += [f"Power:       {line}" for line in result.power]
    return lines + [f"Not tested:  {line}" for line in result.cannot_be_tested]
