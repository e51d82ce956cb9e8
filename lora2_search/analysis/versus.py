"""Two results side by side, whatever they come from: settings, scores, costs, examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from ..config import Settings, dotted, is_used
from ..errors import UserError
from ..stats import TestResult, paired, seeds_interval
from ..store import RunRecord
from .answers import (
    OTHER_EXAMPLES,
    Examples,
    Pairs,
    examples_between,
    over_answers,
    same_examples,
)
from .arms import Arm
from .baselines import Standing, standings, test_gap
from .circumstances import circumstances_between
from .comparison import Analysis
from .records import TEST, Run, read_predictions
from .study import StudyTable, chosen

_SHOWN = 5

# What a run is called by, and where its data lies, decides nothing that a reader would tune.
_OWN = ("seed", "data.path", "data.test_path")

_COUNTS = {
    "trained_adapter": "adapter, trained",
    "kept_adapter": "adapter, kept",
    "compressed_adapter": "adapter, as a plain LoRA",
    "trained_head": "head",
}


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: What it is, for people.
        runs: Its runs by seed; one of a study's winner or a single run.
        metric: What it is judged by; ``None`` for the task's primary metric.
        plan: What it was planned with besides a run's settings, dotted: a study's search.
    """

    name: str
    runs: Mapping[int, Run]
    metric: str | None = None
    plan: Settings = field(default_factory=dict)

    @property
    def record(self) -> RunRecord:
        """The record of its first run."""
        return next(iter(self.runs.values())).record


@dataclass(frozen=True)
class SettingPair:
    """A setting in which the two differ; ``None`` where one of them does not look at it."""

    name: str
    first: Any
    second: Any


@dataclass(frozen=True)
class ScorePair:
    """A metric on a split.

    Attributes:
        split: ``validation`` or ``test``.
        metric: Its name.
        first: The score with its 95 % interval; the mean over several seeds. ``None`` where it was
            not measured.
        second: The same of the other.
        difference: First minus second with its interval, paired by seed, or by example where each
            has a single run; ``note`` says why there is no interval.
    """

    split: str
    metric: str
    first: TestResult | None
    second: TestResult | None
    difference: TestResult | None


@dataclass(frozen=True)
class Quantity:
    """A cost or a size of the two; the mean over several seeds."""

    name: str
    first: float | None
    second: float | None


@dataclass(frozen=True)
class Versus:
    """Two results side by side; the first is what a difference is taken from.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        seeds: Seeds of either.
        settings: In which settings they differ.
        plan: In what they were planned otherwise: the search of two studies.
        circumstances: In what they were made otherwise: versions, code, device, threads, files.
        scores: Their scores.
        quantities: Parameters, time and memory.
        examples: The test examples that they answer otherwise.
    """

    first: str
    second: str
    seeds: tuple[tuple[int, ...], tuple[int, ...]]
    settings: tuple[SettingPair, ...]
    plan: tuple[SettingPair, ...]
    circumstances: tuple[str, ...]
    scores: tuple[ScorePair, ...]
    quantities: tuple[Quantity, ...]
    examples: Examples


def compare_sides(first: Side, second: Side, shown: int = _SHOWN) -> Versus:
    """Compare two results; everything comes from records and predictions.

    Args:
        first: The one, with at least one run.
        second: The other, likewise.
        shown: Examples to show each way.
    """
    pairs = _pairs(first, second)
    metrics = dict.fromkeys(side.metric or side.record.metric for side in (first, second))
    return Versus(
        first=first.name,
        second=second.name,
        seeds=(tuple(first.runs), tuple(second.runs)),
        settings=tuple(_settings(first, second)),
        plan=tuple(differing(first.plan, second.plan)),
        circumstances=tuple(circumstances_between(first.record, second.record)),
        scores=tuple(
            pair
            for split in ("validation", TEST)
            for metric in metrics
            if (pair := _score_pair(split, metric, first, second, pairs)) is not None
        ),
        quantities=tuple(_quantities(first, second)),
        examples=examples_between(pairs, shown),
    )


def differing(first: Settings, second: Settings) -> Iterator[SettingPair]:
    """Yield the settings in which two plans differ, in the order in which they stand."""
    for name in dict.fromkeys([*first, *second]):
        one, other = first.get(name), second.get(name)
        if one != other:
            yield SettingPair(name, one, other)


def _settings(first: Side, second: Side) -> Iterator[SettingPair]:
    several = max(len(first.runs), len(second.runs)) > 1
    one, other = (_used(side.record) for side in (first, second))
    for pair in differing(one, other):
        if pair.name != "seed" or not several:
            yield pair


def _used(record: RunRecord) -> Settings:
    method = record.config["method"]
    return {name: v for name, v in dotted(record.config).items() if is_used(name, method)}


def _pairs(first: Side, second: Side) -> Pairs:
    """Return the runs that belong together: of the same seed, or the only one of either side."""
    if len(first.runs) == len(second.runs) == 1:
        return [(next(iter(first.runs.values())), next(iter(second.runs.values())))]
    return [(run, second.runs[seed]) for seed, run in first.runs.items() if seed in second.runs]


def _score_pair(
    split: str, metric: str, first: Side, second: Side, pairs: Pairs
) -> ScorePair | None:
    one, other = (_level(side, split, metric) for side in (first, second))
    if one is None and other is None:
        return None
    difference = _difference(split, metric, pairs) if one and other else None
    return ScorePair(split, metric, one, other, difference)


def _values(runs: Sequence[Run], split: str, metric: str) -> list[float]:
    scores = (run.record.score(split, metric) for run in runs)
    return [score for score in scores if score is not None]


def _level(side: Side, split: str, metric: str) -> TestResult | None:
    runs = list(side.runs.values())
    values = _values(runs, split, metric)
    if not values:
        return None
    if len(values) > 1:
        return seeds_interval(values)
    return _of_one(values[0], split, metric, runs[:1])


def _difference(split: str, metric: str, pairs: Pairs) -> TestResult:
    scored = _scored_pairs(split, metric, pairs)
    if len(scored) == 1:
        value, pair = scored[0]
        return _of_one(value, split, metric, pair)
    return _over_seeds(scored, split)


def _scored_pairs(split: str, metric: str, pairs: Pairs) -> list[tuple[float, tuple[Run, Run]]]:
    """Return the differences of pairs of runs that both have a score, and those pairs."""
    return [
        (one - other, pair)
        for pair in pairs
        if (one := pair[0].record.score(split, metric)) is not None
        and (other := pair[1].record.score(split, metric)) is not None
    ]


def _over_seeds(scored: Sequence[tuple[float, tuple[Run, Run]]], split: str) -> TestResult:
    """Return the mean difference over pairs of one seed each."""
    if not scored:
        return TestResult(note="they have no seed in common, so there is no paired difference")
    pairs = (pair for _, pair in scored)
    if not all(same_examples(pair, [read_predictions(r, split) for r in pair]) for pair in pairs):
        return TestResult(note=OTHER_EXAMPLES)
    return paired([value for value, _ in scored])


def _of_one(value: float, split: str, metric: str, runs: Sequence[Run]) -> TestResult:
    """Return a score of one run, or a difference of two, with its interval over examples."""
    said = [read_predictions(run, split) for run in runs]
    if not same_examples(runs, said):
        return TestResult(estimate=value, n=1, note=OTHER_EXAMPLES)
    found = over_answers(value, metric, said, len(runs[0].record.classes) or None)
    return replace(found, n=1)


def _quantities(first: Side, second: Side) -> Iterator[Quantity]:
    measures: dict[str, Callable[[RunRecord], float | None]] = {
        words: lambda record, name=name: record.counts.get(name)  # type: ignore[misc]
        for name, words in _COUNTS.items()
    }
    measures["kept rank"] = lambda record: record.kept_rank
    measures["seconds"] = lambda record: record.seconds
    measures["peak MB"] = lambda record: record.peak_memory_mb
    for name, measure in measures.items():
        one, other = (_mean(side, measure) for side in (first, second))
        if one is not None or other is not None:
            yield Quantity(name, one, other)


def _mean(side: Side, measure: Callable[[RunRecord], float | None]) -> float | None:
    values = [v for run in side.runs.values() if (v := measure(run.record)) is not None]
    return fmean(values) if values else None


@dataclass(frozen=True)
class StudyPair:
    """Two studies that maximise the same metric.

    Attributes:
        left: The one study.
        right: The other.
        winners: Both winners with their intervals; ``None`` where no trial is complete.
        gap: Left winner minus right winner, in test score: of two single runs, on the same
            sentences. Where fresh seeds confirm either, the mean over the seeds that both have,
            ``n`` of them.
        searched: What either study searched.
        settings: That, and the fixed settings in which the winners differ; the left one's first.
    """

    left: StudyTable
    right: StudyTable
    winners: tuple[Standing | None, Standing | None]
    gap: TestResult
    searched: tuple[str, ...]
    settings: tuple[SettingPair, ...]

    @property
    def both(self) -> tuple[StudyTable, StudyTable]:
        """The studies."""
        return self.left, self.right

    @property
    def is_confirmed(self) -> bool:
        """Whether fresh seeds confirm the winner of either."""
        return any(study.confirmed is not None for study in self.both)


def compare_studies(left: StudyTable, right: StudyTable) -> StudyPair:
    """Compare two studies.

    Raises:
        UserError: They maximise different metrics.
    """
    if left.metric != right.metric:
        raise UserError(
            f"{left.runs.space.name} maximises {left.metric} and {right.runs.space.name} "
            f"{right.metric}: studies are compared by one metric"
        )
    first, second = (next(iter(standings(table)), None) for table in (left, right))
    gap = _winners_gap(left, right)
    searched = tuple(dict.fromkeys([*left.runs.space.search, *right.runs.space.search]))
    one, other = _of_winner(left), _of_winner(right)
    fixed = [p.name for p in differing(one, other) if p.name not in (*searched, *_OWN)]
    settings = [
        SettingPair(name, chosen(one, name), chosen(other, name)) for name in (*searched, *fixed)
    ]
    return StudyPair(left, right, (first, second), gap, searched, tuple(settings))


def _winners_gap(left: StudyTable, right: StudyTable) -> TestResult:
    if left.confirmed is None and right.confirmed is None:
        ours, theirs = left.winner_run, right.winner_run
        if ours is None or theirs is None:
            return TestResult(note="a winner's record is missing")
        return test_gap(ours, theirs, left.metric)
    first, second = left.winner_runs, right.winner_runs
    if not first or not second:
        return TestResult(note="a winner is not scored yet")
    pairs = [(run, second[seed]) for seed, run in first.items() if seed in second]
    return _over_seeds(_scored_pairs(TEST, left.metric, pairs), TEST)


def _of_winner(table: StudyTable) -> Settings:
    """Return the settings that the winner's method looks at, and what it chose."""
    run = table.winner_run
    found = _used(run.record) if run is not None else {}
    return {**found, **(table.winner.params if table.winner else {})}


@dataclass(frozen=True)
class ArmPair:
    """One arm, as two suites have it.

    Attributes:
        name: The arm.
        left: Of the left suite, ``None`` where it has no such arm.
        right: Of the right suite.
        gap: Left minus right over the seeds that both have; no estimate where there are none.
    """

    name: str
    left: Arm | None
    right: Arm | None
    gap: TestResult


def compare_suites(left: Analysis, right: Analysis) -> list[ArmPair]:
    """Pair the arms of two suites on one task by their names, those of the left suite first.

    Raises:
        UserError: They compare different metrics.
    """
    ours, theirs = left.suite, right.suite
    if ours.metric != theirs.metric:
        raise UserError(
            f"suite {ours.name} compares {ours.metric} and {theirs.name} {theirs.metric}: suites "
            "are compared by one metric"
        )
    first, second = ({arm.name: arm for arm in side.arms} for side in (left, right))
    return [
        ArmPair(name, first.get(name), second.get(name), _arm_gap((left, right), name))
        for name in dict.fromkeys([*first, *second])
    ]


def _arm_gap(sides: tuple[Analysis, Analysis], name: str) -> TestResult:
    """Return the difference of an arm over the seeds of both, on the same examples each."""
    if any(name not in side.suite.arms for side in sides):
        return TestResult(note="one suite has no such arm")
    ours, theirs = (side.scores for side in sides)
    common = [key for key in ours if key[0] == name and key in theirs]
    for key in common:
        runs = [side.suite.runs[key] for side in sides]
        if not same_examples(runs, [ours[key].predictions, theirs[key].predictions]):
            return TestResult(note=OTHER_EXAMPLES)
    return paired([ours[key].value - theirs[key].value for key in common])
