"""What is compared: weights over arms that sum to 0, as one number per seed and one per example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..config import is_mean_over_examples
from ..stats import Crossed, Score, crossed, pigeonhole, scorer
from .records import SuiteRuns, Values
from .scores import Scored

Weights = Mapping[str, float]

Scores = Mapping[tuple[str, int], Scored]


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of arms' scores that is 0 when nothing differs.

    Attributes:
        name: Its name; of a pair ``arm − reference``.
        weights: Weight by arm.
        arm: The arm of a pair, ``""`` otherwise.
        reference: The reference of a pair, ``""`` otherwise.
    """

    name: str
    weights: Weights
    arm: str = ""
    reference: str = ""


def pair(arm: str, reference: str) -> Contrast:
    """Return the contrast of two arms: arm minus reference."""
    return Contrast(f"{arm} − {reference}", {arm: 1.0, reference: -1.0}, arm, reference)


def named_contrasts(suite: SuiteRuns) -> list[Contrast]:
    """Return the suite's family: its comparisons, then its contrasts."""
    pairs = [pair(arm, reference) for arm, reference in suite.comparisons]
    return pairs + [
        Contrast(name, {arm: weight for arm, weight in weights.items() if weight})
        for name, weights in suite.plan.contrasts.items()
    ]


def exploratory_contrasts(suite: SuiteRuns) -> list[Contrast]:
    """Return every arm that nothing named before the run compares, against the base."""
    base = next(iter(suite.arms))
    claims = [(claim.arm, claim.reference) for claim in suite.plan.equivalence]
    named = {base, suite.floor, *named_arms(suite.comparisons, suite.plan.contrasts, claims)}
    return [pair(arm, base) for arm in suite.arms if arm not in named]


def named_arms(
    pairs: Iterable[tuple[str, str]],
    contrasts: Mapping[str, Weights],
    claims: Iterable[tuple[str, str]],
) -> set[str]:
    """Return the arms that a comparison, a contrast or a claim of equality names."""
    return {
        arm
        for arms in (*pairs, *claims, *(tuple(weights) for weights in contrasts.values()))
        for arm in arms
    }


def seed_contrasts(scores: Scores, weights: Weights) -> dict[int, float]:
    """Return the weighted sum of scores by seed, for the seeds on which every arm counts."""
    seeds = sorted({seed for _, seed in scores})
    return {
        seed: float(sum(weight * scores[arm, seed].value for arm, weight in weights.items()))
        for seed in seeds
        if all((arm, seed) in scores for arm in weights)
    }


@dataclass(frozen=True)
class Common:
    """What several arms answered to the same sentences with the same seeds.

    Attributes:
        labels: The right answers, ``[E]``.
        answers: The answers by arm, ``[S, E]``.
        examples: Numbers of the sentences within the test split, ``[E]``.
    """

    labels: Values
    answers: Mapping[str, Values]
    examples: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """Seeds and sentences."""
        rows, columns = next(iter(self.answers.values())).shape
        return rows, columns


def of_seeds(differences: Mapping[int, float], seeds: Iterable[int]) -> list[float]:
    """Return the differences of those seeds that have one, in the order of ``seeds``."""
    return [differences[seed] for seed in seeds if seed in differences]


def common_predictions(scores: Scores, arms: Iterable[str], seeds: Iterable[int]) -> Common | str:
    """Return what all ``arms`` answered with ``seeds``, or why that cannot be had.

    Seeds on which an arm has no finished run are left out.
    """
    arms = list(arms)
    seeds = [seed for seed in seeds if all((arm, seed) in scores for arm in arms)]
    if not seeds:
        return _NO_SEED if len(arms) == 2 else "no seed has a finished run of every arm in it"
    predictions_of = {(arm, seed): scores[arm, seed].predictions for arm in arms for seed in seeds}
    missing = [seed for (_, seed), predictions in predictions_of.items() if predictions is None]
    if missing:
        return f"the predictions of seed {missing[0]} are missing"
    known = {key: item for key, item in predictions_of.items() if item is not None}
    first = next(iter(known.values()))
    for other in known.values():
        if not np.array_equal(first.examples, other.examples) or not np.array_equal(
            first.labels, other.labels
        ):
            return "the runs were not tested on the same sentences"
    answers = {arm: np.stack([known[arm, seed].predictions for seed in seeds]) for arm in arms}
    return Common(first.labels, answers, first.examples)


def correctness_contrasts(common: Common, weights: Weights) -> Values:
    """Return ``D[s, e]``: the weighted sum of being right, by seed and sentence, ``[S, E]``."""
    right = [w * (common.answers[arm] == common.labels) for arm, w in weights.items()]
    return np.sum(right, axis=0, dtype=float)


def on_new_sentences(
    scores: Scores, weights: Weights, seeds: Iterable[int], metric: str, classes: int | None
) -> Crossed:
    """Return the mean weighted difference over new seeds and new sentences; see `stats.crossed`."""
    common = common_predictions(scores, weights, seeds)
    if isinstance(common, str):
        return Crossed(note=common)
    if is_mean_over_examples(metric):
        return crossed(correctness_contrasts(common, weights))
    return pigeonhole(score_contrast(common, weights, metric, classes), *common.shape)


def score_contrast(common: Common, weights: Weights, metric: str, classes: int | None) -> Score:
    """Return the mean weighted score of seeds (rows, repeats allowed) on sentences (columns)."""
    scorers = {
        arm: scorer(metric, common.labels, answers, classes)
        for arm, answers in common.answers.items()
    }

    def contrast(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> float:
        # A seed that was drawn twice is scored once.
        seeds, times = np.unique(rows, return_counts=True)
        scores = [
            sum(weight * scorers[arm](seed, columns) for arm, weight in weights.items())
            for seed in seeds
        ]
        return float(np.average(scores, weights=times))

    return contrast


_NO_SEED = "no seed has a finished run of both arms"
