"""A study whose trials run on several seeds: what each one scored, and which are hopeless."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..config.space import Space, fresh_key, seed_span
from ..stats import LEVEL, TestResult, behind, seeds_interval
from .front import outcome_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from .records import Run

# An attribute of a trial in Optuna's study: its score by seed, of the seeds that it has run.
SEEDS = "seeds"


def scores_by_seed(trial: FrozenTrial) -> dict[int, float]:
    """Return the scores of a trial's complete runs by seed; empty where it has one seed alone."""
    kept = trial.user_attrs.get(SEEDS, {})
    return {int(seed): float(score) for seed, score in kept.items()}


def hopeless(number: int, trials: Iterable[FrozenTrial], space: Space) -> str:
    """Return why a trial need not run its other seeds; empty where it may still be the best.

    It is behind the best feasible trial that has run all seeds, by a one-sided test on the seeds
    that both have (`stats.behind`). The level is shared among the looks, one after each seed but
    the last, and p counts that the best was chosen: so a setting as good as all the others is lost
    in at most one of twenty races.

    Args:
        number: The trial's.
        trials: All trials of the study.
        space: Says how many seeds there are.
    """
    known = {trial.number: trial for trial in trials}
    whole: dict[int, dict[int, float]] = {}
    for trial in known.values():
        outcome, scores = outcome_of(trial), scores_by_seed(trial)
        if outcome and outcome.is_feasible and len(scores) == space.seeds:
            whole[trial.number] = scores
    theirs = scores_by_seed(known[number])
    if not space.is_raced or not whole:
        return ""
    best = max(whole, key=lambda other: (sum(whole[other].values()), -other))
    table = [[scores[seed] for seed in space.trial_seeds] for scores in whole.values()]
    level = LEVEL / (space.seeds - 1)
    found = behind(list(theirs.values()), [whole[best][seed] for seed in theirs], table, level)
    if found.p is None or found.p >= level or found.estimate is None:
        return ""
    return (
        f"raced out after {len(theirs)} of {space.seeds} seeds: {-found.estimate:.4f} below trial "
        f"{best} on {seed_span(list(theirs))}, p {found.p:.2g} (needed: below {level:.2g})"
    )


def mean_score(scores: Mapping[int, float]) -> TestResult:
    """Return a trial's mean over its seeds with the 95 % interval."""
    return seeds_interval(list(scores.values()))


def seed_cells(scores: Mapping[int, float], space: Space) -> dict[str, float | None]:
    """Return what a row about a trial says of its seeds, by column; empty without several.

    ``seeds`` is how many it has run; ``seeds_mean`` their mean, which is the score of a trial that
    has run them all, with the ends of its 95 % interval over seeds.
    """
    if space.seeds == 1:
        return {}
    found = mean_score(scores)
    ends = {"seeds_mean": found.estimate, "seeds_low": found.low, "seeds_high": found.high}
    return {"seeds": float(len(scores)), **ends}


def seeds_line(trials: Sequence[tuple[str, Mapping[int, float]]], space: Space) -> str:
    """Return what is said of the seeds of a study's trials; empty without several.

    Args:
        trials: The state of each, and its scores by seed.
        space: Says which seeds there are.
    """
    if space.seeds == 1:
        return ""
    stopped = sum(state == "PRUNED" for state, _ in trials)
    spent = sum(len(scores) for _, scores in trials)
    line = (
        f"A trial's score is the mean of its runs on {seed_span(space.trial_seeds)}; "
        f"its sizes, curves and test score are those of seed {space.seed}."
    )
    if space.winner is None and space.outside:
        line += f" {' and '.join(space.outside)} ran on seed {space.seed} alone."
    ended = f"{stopped} of {len(trials)} trials were stopped before all their seeds had run"
    return f"{line} {ended}; {spent} runs are complete."


def runs_of_trial(
    number: int, first: Run, others: Mapping[str, Run], space: Space
) -> dict[int, Run]:
    """Return a trial's runs by seed, in the order of its seeds.

    Args:
        number: The trial's.
        first: Its run on the first seed.
        others: The runs on other seeds, of all trials, by key.
        space: Says which seeds there are.
    """
    keys = {seed: fresh_key(number, seed) for seed in space.trial_seeds[1:]}
    return {space.seed: first, **{s: others[key] for s, key in keys.items() if key in others}}
