"""A study's winner on fresh seeds: how it was chosen among the best few, and what it scores."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from ..config.space import FreshSeeds, Space, Value, fresh_key, reference_settings
from ..stats import Crossed, Paired, TestResult, holm, paired, rejects, seeds_interval
from ..store import outcome_value
from .contrasts import on_new_sentences as both
from .front import Outcome, broken_bounds, excesses, winning
from .records import TEST, Run, read_predictions
from .rungs import Climb
from .scores import Scored
from .seeds import runs_of_trial

VALIDATION = "validation"


@dataclass(frozen=True)
class FreshRuns:
    """One setting on some fresh seeds.

    Attributes:
        runs: The runs that are complete, by seed.
        failed: Why others failed, by seed.
        open: Seeds whose run has not ended.
        validation: Mean score on the validation split with its 95 % interval over seeds.
        test: The same on the test split; without a number where it is not scored.
    """

    runs: Mapping[int, Run]
    failed: Mapping[int, str]
    open: tuple[int, ...]
    validation: TestResult
    test: TestResult

    def scores(self, split: str, metric: str) -> dict[int, float]:
        """Return the scores on a split by seed."""
        found = {seed: run.record.score(split, metric) for seed, run in self.runs.items()}
        return {seed: score for seed, score in found.items() if score is not None}


@dataclass(frozen=True)
class Candidate:
    """One of the best trials of the search.

    Attributes:
        trial: Its number.
        score: What it scored in the search, on the validation split.
        settings: The searched settings.
        fresh: Its runs on the seeds to choose on; none where it is the only candidate.
    """

    trial: int
    score: float
    settings: Mapping[str, Value]
    fresh: FreshRuns


@dataclass(frozen=True)
class RunnerUp:
    """The second best candidate on the seeds to choose on.

    Attributes:
        trial: Its number.
        gap: Winner minus runner-up on the same seeds, in validation score.
        p: Holm's adjusted p over all pairs of candidates: that these two are the first and the
            second was seen on the same runs.
        pairs: How many pairs that are.
    """

    trial: int
    gap: Paired
    p: float | None
    pairs: int

    @property
    def is_told_apart(self) -> bool:
        """Whether the test says that the two differ."""
        return rejects(self.p)


@dataclass(frozen=True)
class Baseline:
    """A run outside the search on the seeds to report on.

    Attributes:
        name: As in the space.
        settings: What it sets over the space.
        fresh: Its runs.
        gap: Winner minus baseline on the same seeds, in test score.
        p: Holm's adjusted p over the baselines.
    """

    name: str
    settings: Mapping[str, Any]
    fresh: FreshRuns
    gap: Paired
    p: float | None


@dataclass(frozen=True)
class Confirmation:
    """What fresh seeds say of a study's winner.

    Attributes:
        seeds: Those of the search, to choose on, and to report on.
        metric: The objective.
        candidates: The trials that one is chosen from, by rank in the search.
        trial: The number of the chosen one; ``None`` while, or because, none is.
        runner_up: The second best of the candidates; ``None`` where there is one alone.
        reported: The winner's runs on the seeds to report on; ``None`` where there is no winner.
        baselines: The same of what it is compared with.
        note: Why none is chosen; empty where one is, or may still be.
    """

    seeds: FreshSeeds
    metric: str
    candidates: tuple[Candidate, ...]
    trial: int | None = None
    runner_up: RunnerUp | None = None
    reported: FreshRuns | None = None
    baselines: tuple[Baseline, ...] = field(default=())
    note: str = ""

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that is the winner."""
        return next((item for item in self.candidates if item.trial == self.trial), None)

    @property
    def standing(self) -> tuple[int, Run] | None:
        """The run that stands for the winner, and its seed; ``None`` before one is complete.

        It is the first of those that are reported, so not one that was chosen by its score.
        """
        return next(iter(self.reported.runs.items()), None) if self.reported else None

    @property
    def is_reported(self) -> bool:
        """Whether there is a score to report."""
        return self.reported is not None and bool(self.reported.runs)

    @property
    def is_complete(self) -> bool:
        """Whether no run is left to be made."""
        if self.reported is None:
            return not any(item.fresh.open for item in self.candidates)
        return not any(item.open for item in (self.reported, *(b.fresh for b in self.baselines)))

    @property
    def optimism(self) -> TestResult | None:
        """By how much selection flattered the winner.

        Its score in the search minus its mean on the seeds to report on, both on the validation
        split, with the interval that the mean has.
        """
        if self.chosen is None or self.reported is None:
            return None
        score, mean = self.chosen.score, self.reported.validation
        if mean.estimate is None:
            return None
        low, high = (None if end is None else score - end for end in (mean.high, mean.low))
        return TestResult(
            estimate=score - mean.estimate,
            low=low,
            high=high,
            n=mean.n,
            method=mean.method,
            note=mean.note,
        )


def on_new_sentences(found: Confirmation) -> list[tuple[Crossed, float | None]]:
    """Return winner minus each baseline over new seeds and new test sentences, and Holm's p.

    Apart from `confirmation`: it reads the predictions of all runs that are reported.
    """
    if found.reported is None:
        return []
    ours = _answers("winner", found.reported, found.metric)
    classes = max((len(r.record.classes) for r in found.reported.runs.values()), default=0) or None
    tests = []
    for item in found.baselines:
        scores = {**ours, **_answers(item.name, item.fresh, found.metric)}
        weights = {"winner": 1.0, item.name: -1.0}
        tests.append(both(scores, weights, found.seeds.report, found.metric, classes))
    return list(zip(tests, holm([test.p for test in tests]), strict=True))


def _answers(name: str, fresh: FreshRuns, metric: str) -> dict[tuple[str, int], Scored]:
    return {
        (name, seed): Scored(score, read_predictions(fresh.runs[seed], TEST), False)
        for seed, score in fresh.scores(TEST, metric).items()
    }


def choice_cells(found: Confirmation | None, trial: int) -> dict[str, float | bool | None]:
    """Return what a row about a trial says of the choice, by column; empty without one."""
    if found is None:
        return {}
    means = {item.trial: item.fresh.validation.estimate for item in found.candidates}
    chosen = None if found.trial is None else trial == found.trial
    return {"choice": means.get(trial), "winner": chosen}


def winning_trial(
    outcomes: Sequence[Outcome], space: Space, found: Confirmation | None, climbed: Climb | None
) -> int | None:
    """Return the number of a study's winner; ``None`` where there is none.

    It is the one that fresh seeds chose, or none where they refuse all; until then, and without
    them, the rule of the space names it. Of a halved study that is the best whole run.
    """
    if found is not None and (found.trial is not None or found.note):
        return found.trial
    if climbed is not None:
        return climbed.trial
    return winning(outcomes, space)


def ranked(
    outcomes: Sequence[Outcome], space: Space, settings: Mapping[int, Mapping[str, Value]]
) -> list[int]:
    """Return the trials that may be the winner by number, the best first, `top` at most.

    The rule of the space names the best one; without it, the next. Of trials with the same settings
    the first alone counts: its repetition is the same run.

    Args:
        outcomes: Of the complete trials.
        space: Says how many, and by which rule.
        settings: The searched settings by number.
    """
    assert space.winner is not None
    left, found = list(outcomes), list[int]()
    while len(found) < space.winner.top and (best := winning(left, space)) is not None:
        found.append(best)
        left = [item for item in left if settings[item.number] != settings[best]]
    return found


def reported_runs(
    found: Confirmation | None,
    winner: tuple[int, Run] | None,
    others: Mapping[str, Run],
    space: Space,
) -> Mapping[int, Run]:
    """Return the runs whose scores are reported as the winner's, by seed; none without a winner.

    Args:
        found: What fresh seeds say; where they confirm the winner, its runs are those that they
            report, none before it is chosen.
        winner: Its number, and its run on its first seed.
        others: The runs on other seeds, of all trials, by key.
        space: Says how many seeds a trial has.
    """
    if found is not None:
        return found.reported.runs if found.reported else {}
    if winner is None:
        return {}
    number, run = winner
    if space.seeds > 1:
        return runs_of_trial(number, run, others, space)
    return {int(run.record.config["seed"]): run}


def confirmation(
    space: Space,
    outcomes: Sequence[Outcome],
    settings: Mapping[int, Mapping[str, Value]],
    runs: Mapping[str, Run],
) -> Confirmation | None:
    """Return what fresh seeds say so far; ``None`` where the space does not ask for it.

    Args:
        space: Says which seeds, which baselines, and by which rule one is chosen.
        outcomes: What the complete trials came to in the search.
        settings: The searched settings of each trial, by number.
        runs: Those on fresh seeds, by key.
    """
    seeds = space.fresh_seeds
    if seeds is None:
        return None
    metric = space.objective.metric or next(
        (run.record.metric for run in runs.values() if run.record.metric), "score"
    )
    numbers = ranked(outcomes, space, settings)
    scores = {item.number: item.values[0] for item in outcomes}
    choice = seeds.choice if len(numbers) > 1 else ()
    candidates = tuple(
        Candidate(n, scores[n], settings[n], _fresh(space, n, choice, runs, metric))
        for n in numbers
    )
    found = Confirmation(seeds, metric, candidates)
    return _reported(space, _chosen(space, found), runs)


def _chosen(space: Space, found: Confirmation) -> Confirmation:
    """Choose the best candidate by the rule of the space, on means over the seeds to choose on."""
    candidates = found.candidates
    if len(candidates) <= 1:
        trial = candidates[0].trial if candidates else None
        return replace(found, trial=trial)
    if any(item.fresh.open for item in candidates):
        return found
    sound = [item for item in candidates if not item.fresh.failed]
    if not sound:
        return replace(found, note="each of the settings failed on a seed to choose on")
    outcomes = [_mean_outcome(item, space, found.metric) for item in sound]
    trial = winning(outcomes, space)
    if trial is None:
        return replace(found, note="on average over the fresh seeds none meets the constraints")
    second = winning([item for item in outcomes if item.number != trial], space)
    runner_up = None if second is None else _runner_up(sound, trial, second, found.metric)
    return replace(found, trial=trial, runner_up=runner_up)


def _reported(space: Space, found: Confirmation, runs: Mapping[str, Run]) -> Confirmation:
    if found.trial is None:
        return found
    seeds, metric = found.seeds.report, found.metric
    ours = _fresh(space, found.trial, seeds, runs, metric)
    compared = [(name, _fresh(space, name, seeds, runs, metric)) for name in space.outside]
    gaps = [_gap(ours, theirs, TEST, metric) for _, theirs in compared]
    baselines = tuple(
        Baseline(name, reference_settings(space, name), theirs, gap, p)
        for (name, theirs), gap, p in zip(compared, gaps, holm([g.p for g in gaps]), strict=True)
    )
    return replace(found, reported=ours, baselines=baselines)


def _fresh(
    space: Space, name: str | int, seeds: Iterable[int], runs: Mapping[str, Run], metric: str
) -> FreshRuns:
    complete, failed, still = dict[int, Run](), dict[int, str](), list[int]()
    needed = [metric, *space.outcomes] if isinstance(name, int) else [metric]
    for seed in seeds:
        run = runs.get(fresh_key(name, seed))
        if run is None or run.record.status == "running":
            still.append(seed)
        elif run.record.status != "completed":
            failed[seed] = run.record.error or "no reason was recorded"
        elif missing := [item for item in needed if _value(item, run) is None]:
            failed[seed] = f"the run has no {missing[0]}"
        else:
            complete[seed] = run
    means = (
        seeds_interval(
            [v for run in complete.values() if (v := run.record.score(split, metric)) is not None]
        )
        for split in (VALIDATION, TEST)
    )
    return FreshRuns(complete, failed, tuple(still), *means)


def _value(name: str, run: Run) -> float | None:
    return outcome_value(name, run.record, run.folder)


def _mean_outcome(item: Candidate, space: Space, metric: str) -> Outcome:
    """Return what a candidate comes to on average over its seeds."""

    def mean(name: str) -> float:
        values = [_value(name, run) for run in item.fresh.runs.values()]
        return fmean(value for value in values if value is not None)

    names = [metric, *(str(goal.metric) for goal in space.goals[1:])]
    return Outcome(item.trial, tuple(map(mean, names)), broken_bounds(excesses(space, mean)))


def _runner_up(sound: Sequence[Candidate], trial: int, second: int, metric: str) -> RunnerUp:
    gaps = {
        (a.trial, b.trial): _gap(a.fresh, b.fresh, VALIDATION, metric)
        for a, b in itertools.combinations(sound, 2)
    }
    adjusted = dict(zip(gaps, holm([gap.p for gap in gaps.values()]), strict=True))
    pair = (trial, second) if (trial, second) in gaps else (second, trial)
    by_trial = {item.trial: item.fresh for item in sound}
    gap = _gap(by_trial[trial], by_trial[second], VALIDATION, metric)
    return RunnerUp(second, gap, adjusted[pair], len(gaps))


def _gap(ours: FreshRuns, theirs: FreshRuns, split: str, metric: str) -> Paired:
    """Return ours minus theirs on the seeds that both have."""
    left, right = ours.scores(split, metric), theirs.scores(split, metric)
    return paired([left[seed] - right[seed] for seed in left if seed in right])
