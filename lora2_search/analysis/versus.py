"""Two results side by side, whatever they come from: settings, scores, costs, examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import numpy as np

from ..config import METRICS, OF_LOGITS, Settings, dotted, is_used
from ..stats import (
    CORRELATIONS,
    LEVEL,
    TestResult,
    mean_interval,
    paired,
    pigeonhole_draws,
    scorer,
)
from ..store import RunRecord
from .circumstances import circumstances_between
from .examples import Disagreement, Texts, texts_of, widest_apart
from .records import TEST, Predictions, Run, read_predictions

EXAMPLES = "bootstrap over examples"

_SHOWN = 5

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
class Examples:
    """The test examples that the two answer otherwise.

    Attributes:
        both: How many both get right; with several seeds, the mean over them. ``None`` for numbers.
        first: How many the first alone gets right.
        second: How many the second alone gets right.
        neither: How many neither gets right.
        shown: The widest apart, those that the first is better on before the others.
        texts: Texts by number, where the data are on this machine.
        classes: Names of the classes; empty for numbers.
        note: Why there is nothing to compare; empty where there is.
    """

    both: float | None = None
    first: float | None = None
    second: float | None = None
    neither: float | None = None
    shown: tuple[Disagreement, ...] = ()
    texts: Texts = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    note: str = ""


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
        examples=_examples(pairs, shown),
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


Pairs = Sequence[tuple[Run, Run]]


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
        return _over_seeds(values)
    return _over_examples(values[0], split, metric, runs[:1])


def _over_seeds(values: Sequence[float]) -> TestResult:
    array = np.array(values, dtype=float)
    if np.ptp(array) == 0:
        note = "all seeds score the same"
        return TestResult(estimate=float(array[0]), n=len(array), note=note)
    return mean_interval(array, LEVEL)


def _difference(split: str, metric: str, pairs: Pairs) -> TestResult:
    scored = [
        (one - other, pair)
        for pair in pairs
        if (one := pair[0].record.score(split, metric)) is not None
        and (other := pair[1].record.score(split, metric)) is not None
    ]
    if not scored:
        return TestResult(note="they have no seed in common, so there is no paired difference")
    if len(scored) > 1:
        return paired([value for value, _ in scored])
    value, pair = scored[0]
    return _over_examples(value, split, metric, pair)


def _over_examples(value: float, split: str, metric: str, runs: Sequence[Run]) -> TestResult:
    """Return a score of one run, or a difference of two, with its interval over the examples.

    The percentile interval of a bootstrap that draws examples, the same for both runs (Efron &
    Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; 400 draws, fixed seed).
    """
    read = [read_predictions(run, split) for run in runs]
    said = [item for item in read if item is not None and len(item.examples) > 1]
    note = _no_examples(metric, runs, said)
    if note:
        return TestResult(estimate=value, n=1, note=note)
    classes = len(runs[0].record.classes) or None
    score = _contrast(metric, said, classes)
    draws = pigeonhole_draws(score, 1, len(said[0].examples))
    low, high = (float(end) for end in np.quantile(draws, [LEVEL / 2, 1 - LEVEL / 2]))
    return TestResult(estimate=value, low=low, high=high, n=1, method=EXAMPLES)


def _no_examples(metric: str, runs: Sequence[Run], said: Sequence[Predictions]) -> str:
    """Say why examples give no interval; empty where they do."""
    if metric in OF_LOGITS or metric not in METRICS:
        return f"{metric} is not made of answers alone, so there is no interval over examples"
    if len(said) < len(runs):
        return "the predictions are missing"
    if any(not np.isfinite(item.predictions).all() for item in said):
        return "some predictions are not finite"
    return "" if _same_examples(runs, said) else "they were not tested on the same examples"


def _same_examples(runs: Sequence[Run], said: Sequence[Predictions]) -> bool:
    hashes = {run.record.data_hash for run in runs if run.record.data_hash}
    return len(hashes) < 2 and all(
        np.array_equal(said[0].examples, item.examples)
        and np.array_equal(said[0].labels, item.labels)
        for item in said
    )


def _contrast(
    metric: str, said: Sequence[Predictions], classes: int | None
) -> Callable[[Any, Any], float]:
    scorers = [scorer(metric, item.labels, item.predictions[None, :], classes) for item in said]
    signs = (1.0, -1.0)

    def contrast(rows: Any, columns: Any) -> float:
        pairs = zip(signs, scorers, strict=False)
        return sum(sign * score(0, columns) for sign, score in pairs)

    return contrast


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


def _examples(pairs: Pairs, shown: int) -> Examples:
    read = [
        tuple(read_predictions(run, TEST) for run in pair)
        for pair in pairs
        if all(run.record.status == "completed" for run in pair)
    ]
    whole = [(one, other) for one, other in read if one is not None and other is not None]
    if not whole:
        return Examples(note="no two of their runs have test predictions that can be compared")
    runs = [run for pair in pairs for run in pair]
    if not _same_examples(runs, [item for pair in whole for item in pair]):
        return Examples(note="they were not tested on the same examples")
    labels = whole[0][0].labels
    ours, theirs = (np.stack([pair[side].predictions for pair in whole]) for side in (0, 1))
    record = pairs[0][0].record
    numbers = record.metric in CORRELATIONS
    found = Examples() if numbers else _counted(ours == labels, theirs == labels)
    apart = widest_apart(whole[0][0].examples, labels, ours, theirs, numbers, shown)
    texts = texts_of(pairs[0][0]) if apart else {}
    wanted = {item.example: texts[item.example] for item in apart if item.example in texts}
    return replace(found, shown=tuple(apart), texts=wanted, classes=tuple(record.classes))


def _counted(ours: Any, theirs: Any) -> Examples:
    """Return how many examples each of the two gets right, from ``[S, E]`` truths."""
    return Examples(
        both=float((ours & theirs).sum(axis=1).mean()),
        first=float((ours & ~theirs).sum(axis=1).mean()),
        second=float((~ours & theirs).sum(axis=1).mean()),
        neither=float((~ours & ~theirs).sum(axis=1).mean()),
    )
