"""Decide what a new study takes over from an older one: trials as prior, or its best settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..analysis import Outcome
from ..config import RunConfig, dotted, is_used, value_of
from ..config.space import Space, active, chosen_sampler, exact_settings, given_problems
from ..errors import ConfigError, UserError, listed
from .attributes import metric_name
from .outcomes import constraint_excesses, objective_values
from .prior import PriorTrial, WarmStart
from .trial_runs import trial_runs

if TYPE_CHECKING:
    from .study import Study
    from .trial import StudyTrial

# What of an older study is tried first where its trials cannot be a prior.
MOST_FIRST = 3

# Samplers that learn from trials which they did not propose.
_LEARNING = ("tpe", "gp", "cmaes")

# Settings in which trials may differ and still tell what a score would be here.
_FREE = (
    "seed",
    "training.device",
    "training.diagnostics",
    "training.eval_batch_size",
    "training.evaluations",
    "training.score_test",
)

# Trial n is drawn with seed + n; the trials of a prior push the numbers on, first trials do not.
_SAME_SEED = " Both have the same sampler.seed, so random trials repeat older ones; set another."


def warm_start(older: Study, space: Space) -> WarmStart:
    """Return what a new study can take over from an older one.

    A complete trial of the older study is part of the *prior* where this study might propose the
    very same run: its settings lie in the space, and all that is fixed is equal but for what
    decides no score (the seed among them). Where that holds for no trial, or the sampler does not
    learn from trials that it did not propose, the best settings that lie in the space are the
    first trials, three at most.

    Raises:
        UserError: The older study scores by another metric, or nothing of it lies in the space.
    """
    _check_metric(older, space)
    complete = [trial for trial in older.trials if trial.outcome is not None]
    if not complete:
        raise UserError(f"nothing of study {older.name} can be used: no trial is complete yet")
    inside = {t.number: params for t in complete if (params := _settings_here(t, older, space))}
    if not inside:
        raise UserError(
            f"nothing of study {older.name} can be used: none of its {len(complete)} complete "
            f"trials lies in this space ({_why_outside(complete[0], older, space)})"
        )
    sampler = space.sampler.name
    sampler = chosen_sampler(space.search_task)[0] if sampler == "auto" else sampler
    best = sorted((t for t in complete if t.number in inside), key=_rank(older))
    others = _differing(_ran(best[0], older), inside[best[0].number], space)
    learns = sampler in _LEARNING
    prior = tuple(_prior(complete, inside, older, space)) if learns else ()
    if prior:
        left_out = len(complete) - len(prior)
        rest = f"; {left_out} others do not fit this space" if left_out else ""
        line = f"Warm start: {_trials(len(prior))} of study {older.name} as prior{rest}."
        return WarmStart(older.name, prior, (), line)
    first = tuple(_first(best, inside, space))
    why = f"it differs in {listed(others)}" if others else "its records lack what counts here"
    why = why if learns else f"sampler {sampler} learns from no prior"
    line = f"Warm start: the best of study {older.name} first ({_trials(len(first))}), since {why}."
    if older.space.sampler.seed == space.sampler.seed:
        line += _SAME_SEED
    return WarmStart(older.name, (), first, line)


def _trials(count: int) -> str:
    return f"{count} trial{'s' if count > 1 else ''}"


def _check_metric(older: Study, space: Space) -> None:
    theirs, ours = metric_name(older.space), metric_name(space)
    if theirs != ours:
        hint = "; name objective.metric to say which it is" if "score" in (theirs, ours) else ""
        raise UserError(
            f"study {older.name} scores by {theirs} and this one by {ours}, so its scores say "
            f"nothing here; a warm start needs a study of the same metric{hint}"
        )


def _settings_here(trial: StudyTrial, older: Study, space: Space) -> dict[str, Any] | None:
    """Return what this study would call the settings of an older trial; ``None`` outside it."""
    params = _read_here(trial, older, space)
    if params is None or any(_problems(params, space)):
        return None
    return dict(exact_settings(params, space.search))


def _read_here(trial: StudyTrial, older: Study, space: Space) -> dict[str, Any] | None:
    try:
        config = older.space.run_config(dict(trial.params))
    except ConfigError:
        return None  # another version of this package ran it
    return active(space.search, {name: value_of(config, name) for name in space.search})


def _problems(params: Mapping[str, Any], space: Space) -> Iterator[tuple[str, str]]:
    return given_problems(params, space.as_run_config(), space.search, space.parsed_rules)


def _why_outside(trial: StudyTrial, older: Study, space: Space) -> str:
    params = _read_here(trial, older, space)
    if params is None:
        return f"the settings of trial {trial.number} are not valid any more"
    name, message = next(_problems(params, space))
    return f"trial {trial.number}: {f'{name} ' if name else ''}{message}"


def _differing(config: RunConfig, params: Mapping[str, Any], space: Space) -> list[str]:
    """Return what is fixed otherwise here than in an older run, of what decides a score."""
    ours = dotted(space.trial_config(params).identifying_settings())
    theirs = dotted(config.identifying_settings())
    return [
        name
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name) and name not in _FREE and is_used(name, config.method)
    ]


def _ran(trial: StudyTrial, older: Study) -> RunConfig:
    """Return what a trial of an older study ran, shortened where that study is halved."""
    return older.space.trial_config(dict(trial.params))


def _prior(
    complete: Sequence[StudyTrial],
    inside: Mapping[int, Mapping[str, Any]],
    older: Study,
    space: Space,
) -> Iterator[PriorTrial]:
    for trial in complete:
        params = inside.get(trial.number)
        if params is None or _differing(_ran(trial, older), params, space):
            continue
        if (measured := _measured(trial, older, space)) is not None:
            yield PriorTrial(trial.number, params, *measured)


def _measured(
    trial: StudyTrial, older: Study, space: Space
) -> tuple[tuple[float, ...], Mapping[str, float]] | None:
    """Return a trial's values and excesses in this space; ``None`` where its records lack some."""
    score = trial.score
    if score is None:
        return None
    if len(space.goals) == 1 and not space.constraints:
        return (score,), {}
    runs = trial_runs(older.folder, trial.number, older.space.trial_seeds)
    if not runs:
        return None
    try:
        return tuple(objective_values(space, score, runs)), constraint_excesses(space, runs)
    except UserError:
        return None


def _rank(older: Study) -> Any:
    """Return the order of an older study's trials: its winner, the feasible by score, the rest."""
    winner = older.best.number if older.best else None

    def key(trial: StudyTrial) -> tuple[bool, bool, float, int]:
        outcome: Outcome | None = trial.outcome
        feasible = outcome is not None and outcome.is_feasible
        return trial.number != winner, not feasible, -(trial.score or 0.0), trial.number

    return key


def _first(
    best: Sequence[StudyTrial], inside: Mapping[int, Mapping[str, Any]], space: Space
) -> Iterator[PriorTrial]:
    taken = [dict(settings) for settings in space.try_first]
    room = MOST_FIRST if space.trials is None else min(MOST_FIRST, space.trials - len(taken))
    for trial in best:
        params = dict(inside[trial.number])
        if room > 0 and params not in taken:
            taken.append(params)
            room -= 1
            yield PriorTrial(trial.number, params, (), {})
