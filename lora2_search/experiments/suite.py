"""A chosen suite: run, tracked in MLflow and reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..ablation import (
    DIFFERENCES_FILE,
    Adoption,
    SuiteResult,
    run_suite,
    suite_folder,
    until_decided,
)
from ..analysis import look
from ..config.suite import BASE, SUITE_FILE, Suite
from ..store import damaged_records
from ..tracking import ParentInfo, Tracked, ended_as_failed
from ..tracking import options as uri_options
from ..tracking import resolve as resolve_uri
from ..training import Beginning, Observer
from .preflight import check_inputs
from .request import Chosen


def run_chosen_suite(
    chosen: Chosen[Suite],
    *,
    resume: bool = False,
    archive: Path | None = None,
    address: str | None = None,
    storage: Path | None = None,
    tracking_uri: str | None = None,
    reuse: bool = True,
    observers: Sequence[Observer] = (),
    say: Callable[[str], None] = lambda line: None,
) -> SuiteResult:
    """Run a suite that was chosen, track it, and write its report when it ends.

    Args:
        chosen: What ``chosen_suite`` returned.
        resume: Whether it exists and goes on.
        archive: Where finished runs of it are taken from; not with ``resume``.
        address: A Ray cluster: ``auto`` or ``host:port``.
        storage: Where ``suites/`` is; by default the home.
        tracking_uri: The MLflow store; by default ``$MLFLOW_TRACKING_URI``, else in the home.
        reuse: Take over runs that other suites and studies of the storage have completed.
        observers: Told what happens, in this process.
        say: Takes a line for people.

    Raises:
        ConfigError: Everything that is wrong with the suite, its model or its data, or why the
            archive's runs would come out otherwise here.
        UserError: The name is in use or unknown, the cluster or the hub cannot be reached.
    """
    plan = chosen.plan
    parent = suite_parent(plan)
    uri = resolve_uri(tracking_uri)
    tracked = Tracked(suite_folder(plan.name, storage), parent, uri, say)

    told: list[str] = []
    beginning = Beginning(told, say)

    def run(suite: Suite, goes_on: bool) -> SuiteResult:
        return run_suite(
            suite,
            resume=goes_on,
            storage=storage,
            address=address,
            observers=[tracked, beginning, *observers],
            reuse=reuse,
            say=say,
            also=uri_options(uri),
            adoption=None if goes_on else adoption,
        )

    with chosen.placing(), ended_as_failed(tracked), _adoption(plan, archive) as adoption:
        told += check_suite_inputs(plan, say)
        for damage in damaged_records(suite_folder(plan.name, storage)) if resume else ():
            say(f"{damage.path} is damaged: {damage.why}; its run is made anew")
        if plan.until_decided:
            result = _run_looking(plan, resume, run, tracked, say)
        else:
            result = run(plan, resume)
        _finish(result, tracked)
    return result


@contextmanager
def _adoption(suite: Suite, archive: Path | None) -> Iterator[Adoption | None]:
    if archive is None:
        yield None
        return
    from ..report import unpacked

    with unpacked(archive.expanduser()) as begun:
        yield Adoption(suite, begun, str(archive))


def check_suite_inputs(suite: Suite, say: Callable[[str], None] = lambda line: None) -> list[str]:
    """Check model and data of every task and arm of a suite; what is packaged is fetched.

    Returns:
        What is learnt from which labels, and what is cut, on every task.

    Raises:
        ConfigError: Missing files, folders or columns, labels of the wrong kind, and arms or trials
            of a tuning whose model or budget schedule cannot be.
        UserError: The hub or the package index cannot be reached.
    """
    seed, trials = suite.seed_list[0], suite.tuning_runs(Path())
    tuned = [(f"tuning.arms.{run.tags['arm']}", run.config) for run in trials]
    told = []
    for task in suite.task_names:
        arms = [(f"arms.{arm}", suite.run_config(arm, seed, task)) for arm in suite.arms]
        base = suite.run_config(BASE, seed, task)
        lines = check_inputs(base, say, {"metric": suite.metric}, [*arms, *tuned])
        told += [f"{task}: {line}" if task else line for line in lines]
    return told


def suite_parent(suite: Suite) -> ParentInfo:
    """Return what MLflow is told of a suite as a whole."""
    grids = suite.tuning.arms.values() if suite.tuning else ()
    varied = [*suite.arms.values(), *suite.tasks.values(), *grids]
    told = {
        "arms": ", ".join(suite.arms),
        "comparisons": len(suite.pairs) + len(suite.contrasts),
        "tasks": ", ".join(suite.tasks),
        "floor": suite.floor,
        "metric": suite.metric,
        "until_decided": suite.until_decided,
        "seeds": suite.seed_list,
        "resources": suite.resources.model_dump(mode="json"),
    }
    return ParentInfo(
        kind="suite",
        name=suite.name,
        config=suite.base,
        params=told,
        groups=_groups(suite),
        columns=tuple(dict.fromkeys(key for settings in varied for key in settings)),
        description=f"`lora2-search ablate`: {suite.task}, {len(suite.arms)} arms",
    )


def _groups(suite: Suite) -> tuple[str, ...]:
    # A mean over tasks, or one that tuning runs are part of, means nothing.
    apart = {"task": suite.tasks, "phase": suite.tuning}
    return (*(tag for tag, present in apart.items() if present), "arm")


def _run_looking(
    plan: Suite,
    resume: bool,
    run: Callable[[Suite, bool], SuiteResult],
    tracked: Tracked,
    say: Callable[[str], None],
) -> SuiteResult:
    begun = resume

    def run_more(suite: Suite) -> SuiteResult:
        nonlocal begun
        result = run(suite, begun)
        begun = True
        return result

    def decide(result: SuiteResult) -> Mapping[str, str]:
        found = look(result.folder)
        for line in found.lines():
            say(line)
        tracked.measured(found.metrics())
        return found.decisions

    return until_decided(plan, run_more, decide)


def _finish(result: SuiteResult, tracked: Tracked) -> None:
    from ..report import report_files, write_suite_report

    plan = [result.folder / SUITE_FILE, result.folder / DIFFERENCES_FILE]
    if result.interrupted:
        tracked.close("STOPPED", reason="interrupted", artifacts=plan)
        return
    out = write_suite_report(result.folder).parent
    for path in report_files(out):
        tracked.artifact(path, "" if path.parent == out else path.parent.name)
    tracked.close("COMPLETE", artifacts=plan)
