"""``tune``: a study, tracked in MLflow, and its page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..analysis import mean_score
from ..config.space import Space, space_source, validate_space
from ..errors import Argument, RequestError
from ..search import (
    STUDIES,
    Study,
    StudyTrial,
    WarmStart,
    load_study,
    run_study,
    study_folder,
    warm_start,
)
from ..stats import TestResult, seeds_interval
from ..store import SPACE_FILE, RunRecord, damaged_records, outcome_value, sending
from ..tracking import ParentInfo, SpoolObserver, Tracked, failed_on_error, outcome_key, resolve_uri
from ..training import Beginning
from .preflight import check_inputs
from .progress import study_progress
from .request import Request, Resolved, RunOptions, StoredKind, resolve
from .train import run_of_trial, run_of_winner

_SPACES = StoredKind(
    STUDIES,
    space_source,
    validate_space,
    Space.model_dump,
    study_progress,
    (
        *("name a space, for example ", Argument("space", "quickstart.yaml")),
        *(", or a study to ", Argument("resume")),
    ),
)


def resolve_space(request: Request[Space], storage: Path | None = None) -> Resolved[Space]:
    """Return the space that ``tune`` runs, checked, under a name that is free unless asked for.

    Raises:
        ConfigError: Everything that is wrong with it.
        UserError: No such file or study, or both a space and a study to resume are named.
    """
    return resolve(_SPACES, request, storage)


def tune_space(
    resolved: Resolved[Space], options: RunOptions, warm: WarmStart | None = None
) -> Study:
    """Run the search of a resolved space, or resume its study.

    The study is tracked in MLflow, and its page is written when it ends.

    Args:
        resolved: What is searched.
        options: How it is run.
        warm: What a new study takes over from an older one; see `resolve_warm_start`.

    Raises:
        ConfigError: Everything that is wrong with the model or the data.
        UserError: The name is in use, the cluster or the hub cannot be reached.
    """
    plan, say = resolved.plan, options.say
    folder = study_folder(plan.name, options.storage)
    parent = study_parent(plan, warm)
    tracked = Tracked(folder, parent, resolve_uri(options.tracking_uri), say)
    if warm is not None:
        say(warm.line)
    with resolved.locating_errors(), sending(folder), failed_on_error(tracked):
        for damage in damaged_records(folder) if resolved.resumed else ():
            say(f"{damage.path} is damaged: {damage.why}; the study continues without it")
        data_lines = check_inputs(plan.run_config(), say, plan.judged_by, plan.other_models())
        study = run_study(
            plan,
            resume=resolved.resumed,
            storage=options.storage,
            address=options.address,
            observers=[tracked, Beginning(data_lines, say), *options.observers],
            warm=warm,
            say=say,
        )
        _finish(study, tracked)
    return study


def resolve_warm_start(
    older: str | None, resolved: Resolved[Space], storage: Path | None = None
) -> WarmStart | None:
    """Return what a new study takes over from the older one of a name; ``None`` without a name.

    Raises:
        UserError: There is no such study, it scores by another metric, nothing of it lies in the
            space, or the study is resumed: it has what it took over.
    """
    if older is None:
        return None
    if resolved.resumed:
        raise RequestError(
            "a study takes over from an older one when it begins: leave ",
            Argument("warm_start"),
            " out of a resume",
        )
    return warm_start(load_study(older, storage), resolved.plan)


def study_parent(space: Space, warm: WarmStart | None = None) -> ParentInfo:
    """Return what MLflow shows for a study as a whole."""
    return ParentInfo(
        kind="study",
        name=space.name,
        config=space,
        columns=tuple(space.search),
        outcomes=space.outcomes,
        tags={"warm_start": warm.line} if warm else {},
        description=f"`lora2-search tune`: {space.task}, {space.method}",
    )


def tag_outcomes(study: Study, tracked: Tracked | SpoolObserver) -> None:
    """Note what trials came to that one run does not tell, or that a later trial may change.

    Which are on the front, which meet the constraints, and what several seeds came to.
    """
    front = {trial.number for trial in study.pareto}
    for trial in study.trials:
        tags = _seed_tags(trial, study.space)
        if trial.outcome is not None and study.space.outcomes:
            tags["feasible"] = "yes" if trial.outcome.is_feasible else "no"
            if len(study.space.goals) > 1:
                tags["pareto"] = "yes" if trial.number in front else "no"
        if not tags:
            continue
        run = run_of_trial(study, trial.number)
        assert run is not None
        tracked.tag(run, tags)
        if study.best is not None and trial.number == study.best.number:
            winner = run_of_winner(study)
            if winner is not None and winner.key != run.key:
                tracked.tag(winner, tags)


def _seed_tags(trial: StudyTrial, space: Space) -> dict[str, str]:
    """Return a trial's state, mean and seeds for its first run; nothing without several seeds."""
    if space.seeds == 1 or not trial.seed_scores:
        return {}
    mean = mean_score(trial.seed_scores).estimate
    tags = {"trial.state": trial.state, "trial.seeds": f"{len(trial.seed_scores)} of {space.seeds}"}
    tags |= {"trial.score": f"{mean:.4f}"} if mean is not None else {}
    return tags | ({"trial.reason": trial.reason} if trial.reason else {})


def reported_scores(study: Study) -> dict[str, float] | None:
    """Return what MLflow shows of a winner that has run on several seeds: means over those.

    ``score`` is the mean validation score; test scores go by their own names; ``winner/...`` are
    the ends of their 95 % intervals and, where fresh seeds confirm it, by how much selection had
    flattered the winner.
    """
    runs, found = study.winner_runs, study.winner
    if (found is None and study.space.seeds == 1) or not runs or study.best is None:
        return None
    metric, records = study.space.objective.metric, [run.record for run in runs.values()]
    scores = {split: _scores(records, split, metric) for split in ("validation", "test")}
    if found is None:  # what it was chosen by, whether all its records can be read or not
        scores["validation"] = mean_score(study.best.seed_scores)
    values: dict[str, float | None] = {"score": scores["validation"].estimate}
    for name in (key for key in records[0].scores if key.startswith("test/")):
        values[name] = _mean(record.scores.get(name) for record in records)
    for name in study.space.outcomes:
        each = (outcome_value(name, run.record, run.folder) for run in runs.values())
        values[outcome_key(name)] = _mean(each)
    for split, mean in scores.items():
        values |= {f"winner/{split}_low": mean.low, f"winner/{split}_high": mean.high}
    values["winner/seeds"] = float(len(records))
    if found is not None:
        values["winner/optimism"] = found.optimism.estimate if found.optimism else None
        values |= {f"winner/minus_{item.name}": item.gap.estimate for item in found.baselines}
    return {name: value for name, value in values.items() if value is not None}


def _scores(records: Iterable[RunRecord], split: str, metric: str | None) -> TestResult:
    known = (record.score(split, metric) for record in records)
    return seeds_interval([score for score in known if score is not None])


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _finish(study: Study, tracked: Tracked) -> None:
    from ..report import write_study_page

    space = study.folder / SPACE_FILE
    tag_outcomes(study, tracked)
    if study.interrupted:
        tracked.close("STOPPED", reason="interrupted", artifacts=[space])
        return
    page = write_study_page(study.folder)
    winner = run_of_winner(study)
    tracked.close(
        "COMPLETE" if winner else "FAIL",
        reason="" if winner else "no trial was completed",
        winner=winner,
        scores=reported_scores(study),
        artifacts=[space, page],
    )
