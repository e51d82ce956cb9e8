"""Paired comparisons: intervals, tests, corrections for multiplicity."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
import scipy
from numpy.typing import NDArray

from .result import TestResult

Array = NDArray[np.float64]

# The mean difference of two arms on some seeds (rows) and examples (columns).
Score = Callable[[NDArray[np.int64], NDArray[np.int64]], float]

LEVEL = 0.05

T, BCA, CROSSED, PIGEONHOLE = "t", "BCa", "crossed t", "two-way bootstrap"

PERCENTILE = "bootstrap over examples"

BOOTSTRAP_FROM = 20

_RESAMPLES = 9_999

# Draws of a two-way bootstrap, which so has no p below 2 / (BOOTSTRAPS + 1).
BOOTSTRAPS = 400

# Draws of the examples alone, which take microseconds.
EXAMPLE_BOOTSTRAPS = 1_000

# Differences of scores are differences of fractions: what is smaller is the float's own error.
_EPSILON = 1e-12

_EXACT_UP_TO = 20

_RANDOM_FLIPS = 100_000


@dataclass(frozen=True, kw_only=True)
class Paired(TestResult):
    """The mean difference of two arms over seeds that both have, on one fixed test set.

    ``p`` is that of the two-sided paired t test; ``method`` is how the interval was made: ``t``
    below 20 pairs, ``BCa`` from there.

    Attributes:
        sd: Standard deviation of the differences (n - 1).
        sign_flip: p of the two-sided exact sign-flip test.
        ties: Seeds on which both arms score the same.
    """

    sd: float | None = None
    sign_flip: float | None = None
    ties: int = 0


@dataclass(frozen=True, kw_only=True)
class Crossed(TestResult):
    """The mean difference of two arms when seeds and test sentences are both new.

    Attributes:
        examples: Sentences, beside ``n`` seeds.
        shares: Shares of the chance in ``estimate`` that come from ``seeds``, ``sentences`` and
            ``both`` (how a sentence falls out with a seed; shrinks with either). Sum 1 or all 0.
        error: Standard error of ``estimate``; ``None`` where there is no t test.
        df: Degrees of freedom of that test.
    """

    examples: int = 0
    shares: tuple[float, float, float] = (0.0, 0.0, 0.0)
    error: float | None = None
    df: float | None = None


def mean_interval(values: Array, level: float) -> TestResult:
    """Return a mean and the interval that covers it with probability 1 - ``level``.

    For normal differences BCa covers 0.81 instead of 0.95 at 5 pairs and 0.91 at 10, so below 20
    pairs the t interval stands (Student 1908, Biometrika 6, 1); from 20 the bias-corrected and
    accelerated bootstrap (Efron 1987, J. Am. Stat. Assoc. 82, 171; 9,999 resamples, fixed seed),
    which is not bound to normal differences.

    Args:
        values: At least two that are not all equal, ``[n]``.
        level: One minus the coverage.
    """
    if len(values) >= BOOTSTRAP_FROM:
        found = _bca(values, level)
        if found is not None:
            return found
    mean, reach = float(values.mean()), t_reach(values, level)
    return TestResult(estimate=mean, low=mean - reach, high=mean + reach, n=len(values), method=T)


def seeds_interval(values: Sequence[float] | Array) -> TestResult:
    """Return a mean over seeds with its 95 % interval of `mean_interval`, and no test.

    Edges: without values there is no mean; of one, or of equal ones, there is no interval.
    """
    scores = np.asarray(values, dtype=float)
    if len(scores) and np.ptp(scores) >= _EPSILON:
        return mean_interval(scores, LEVEL)
    if not len(scores):
        return TestResult(note="no seed has a score")
    why = "one seed" if len(scores) == 1 else "all seeds score the same"
    return TestResult(estimate=float(scores.mean()), n=len(scores), note=f"{why}: no interval")


def t_reach(values: Array, level: float) -> float:
    """Return half the width of the t interval of a mean; ``values`` are two or more."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(scipy.stats.t.ppf(1 - level / 2, len(values) - 1)) * error


def _bca(values: Array, level: float) -> TestResult | None:
    with warnings.catch_warnings():
        # Where BCa has no answer (resamples that are all equal) scipy warns and returns NaN.
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        low, high = scipy.stats.bootstrap(
            (values,),
            np.mean,
            confidence_level=1 - level,
            n_resamples=_RESAMPLES,
            method="BCa",
            rng=np.random.default_rng(0),
        ).confidence_interval
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    mean = float(values.mean())
    return TestResult(estimate=mean, low=float(low), high=float(high), n=len(values), method=BCA)


def rejects(p: float | None) -> bool:
    """Whether a p value is at most the level; it is not where there is none."""
    return p is not None and p <= LEVEL


def too_few(seeds: int, examples: int) -> str:
    """Say that so many seeds and examples allow no test over both; empty where they do."""
    if seeds >= 2 and examples >= 2:
        return ""
    return f"{seeds} seed(s) and {examples} common test sentence(s): both must be 2 or more"


def paired(differences: Sequence[float] | Array) -> Paired:
    """Test whether the mean of the differences over seeds is zero (Student 1908, Biometrika 6, 1).

    Edges: no pair and one pair give a note and no test; equal differences have no variance to
    test against, so they give p = 1 and [0, 0] when all are zero, else a note.
    """
    d = np.asarray(differences, dtype=float)
    n = len(d)
    if n == 0:
        return Paired(method=T, note="no seed has a finished run of both arms")
    mean, ties = float(d.mean()), int(np.sum(np.abs(d) < _EPSILON))
    if n == 1:
        note = "one seed: no test is possible"
        return Paired(estimate=mean, n=1, ties=ties, method=T, note=note)
    found = _spread(d) if np.ptp(d) >= _EPSILON else _without_spread(mean, all_tie=ties == n)
    return replace(found, n=n, sign_flip=sign_flip(d), ties=ties)


def _spread(d: Array) -> Paired:
    found = mean_interval(d, LEVEL)
    return Paired(
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        p=paired_p(d),
        sd=float(d.std(ddof=1)),
        method=found.method,
    )


def _without_spread(mean: float, all_tie: bool) -> Paired:
    if all_tie:
        note = "no seed variation: all tie"
        return Paired(estimate=0.0, low=0.0, high=0.0, p=1.0, sd=0.0, method=T, note=note)
    note = f"no seed variation: every seed differs by {mean:+.4f}, so there is no t test"
    return Paired(estimate=mean, sd=0.0, method=T, note=note)


def paired_p(differences: Sequence[float] | Array) -> float | None:
    """Return the two-sided p of the paired t test alone, with the edges of ``paired``."""
    d = np.asarray(differences, dtype=float)
    if len(d) < 2:
        return None
    if np.ptp(d) < _EPSILON:
        return 1.0 if np.all(np.abs(d) < _EPSILON) else None
    error = float(d.std(ddof=1)) / math.sqrt(len(d))
    return _t_test(float(d.mean()), error, len(d) - 1)[2]


def sign_flip(differences: Sequence[float] | Array) -> float:
    """Return the two-sided p value of the sign-flip permutation test of a zero mean.

    Exact up to 20 pairs (Fisher 1935, The Design of Experiments, § 21): the share of all 2ⁿ sign
    patterns whose sum is at least as far from zero. Above, 100,000 random patterns (fixed seed),
    the observed one counted among them (Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9, 39).
    """
    d = np.asarray(differences, dtype=float)
    seen = abs(d.sum()) - _EPSILON * max(len(d), 1)
    if len(d) <= _EXACT_UP_TO:
        sums = np.zeros(1)
        for value in d:
            sums = np.concatenate([sums + value, sums - value])
        return float(np.mean(np.abs(sums) >= seen))
    hits = int(np.sum(np.abs(_random_signs(len(d)) @ d) >= seen))
    return (hits + 1) / (_RANDOM_FLIPS + 1)


@lru_cache(maxsize=1)
def _random_signs(pairs: int) -> Array:
    """Return the random patterns, ``[repeats, pairs]``, the same for all tests of so many pairs."""
    return np.random.default_rng(0).choice([-1.0, 1.0], size=(_RANDOM_FLIPS, pairs))


def seeds_for_sign_flip(comparisons: int, level: float = LEVEL) -> int:
    """Return the fewest seeds with which the exact test can reject under Holm: log2(2m / level)."""
    return max(2, math.ceil(math.log2(2 * max(comparisons, 1) / level)))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p values over a family named before the run.

    The step-down procedure of Holm (1979, Scand. J. Stat. 6, 65), at any dependence of the tests.
    A comparison without a p value stays in the family as if its p were 1, so that a run that
    went missing makes no other comparison easier; its own adjusted value is ``None``.
    """
    order = sorted(range(len(p_values)), key=lambda i: _or_one(p_values[i]))
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for position, index in enumerate(order):
        p = p_values[index]
        largest = max(largest, min(1.0, (len(p_values) - position) * _or_one(p)))
        adjusted[index] = None if p is None else largest
    return adjusted


def crossed(differences: Array) -> Crossed:
    """Test a mean difference over new seeds and new sentences together.

    With ``D [S, E]`` the difference of correctness of seed s on example e::

        v_s = var of seed means / S        v_e = var of example means / E
        v_r = residual variance / (S E)    v = max(v_s + v_e - v_r, v_s, v_e)
        t = mean / sqrt(v)                 df = v² / (v_s² / (S-1) + v_e² / (E-1))

    and df = S - 1 where the maximum is v_s. Seeds and sentences are crossed random effects (Clark
    1973, J. Verbal Learn. Verbal Behav. 12, 335); df after Satterthwaite (1946, Biometrics Bull. 2,
    110). docs/ablation.md has the reasons.
    Edges: v = 0 gives p = 1 and [0, 0] for identical predictions, else a note.
    """
    d = np.asarray(differences, dtype=float)
    rows, columns = d.shape if d.ndim == 2 else (0, 0)
    size = partial(Crossed, n=rows, examples=columns, method=CROSSED)
    if note := too_few(rows, columns):
        return size(estimate=float(d.mean()) if d.size else None, note=note)
    mean = float(d.mean())
    v_s, v_e, v_r = variance_parts(d)
    v = max(v_s + v_e - v_r, v_s, v_e)
    if v < _EPSILON**2:
        if abs(mean) < _EPSILON:
            note = "the predictions are right and wrong on the same sentences"
            return size(estimate=0.0, low=0.0, high=0.0, p=1.0, note=note)
        return size(estimate=mean, note=f"every prediction differs by {mean:+.4f}")
    satterthwaite = v**2 / (v_s**2 / (rows - 1) + v_e**2 / (columns - 1))
    df = rows - 1 if v == v_s else satterthwaite
    error = math.sqrt(v)
    low, high, p = _t_test(mean, error, df)
    shares = _shares(v_s, v_e, v_r)
    return size(estimate=mean, low=low, high=high, p=p, shares=shares, error=error, df=df)


def variance_parts(d: Array) -> tuple[float, float, float]:
    """Return v_s, v_e and v_r of ``crossed`` for ``d [S, E]``."""
    rows, columns = d.shape
    by_seed, by_example = d.mean(axis=1), d.mean(axis=0)
    residual = d - by_seed[:, None] - by_example[None, :] + d.mean()
    v_r = float(np.sum(residual**2)) / ((rows - 1) * (columns - 1)) / (rows * columns)
    return float(by_seed.var(ddof=1)) / rows, float(by_example.var(ddof=1)) / columns, v_r


def few_seeds(seeds: int) -> str:
    """Return that a bootstrap of so few seeds has too narrow an interval; empty from 20 seeds."""
    if seeds >= 20:
        return ""
    return f"with {seeds} seeds its interval is too narrow (bootstraps cover 0.81 at 5 seeds)"


def pigeonhole(score: Score, seeds: int, examples: int, repeats: int = BOOTSTRAPS) -> Crossed:
    """Bootstrap seeds and examples together, for scores that are no means over examples.

    The pigeonhole bootstrap (Owen 2007, Ann. Appl. Stat. 1, 386). ``score(rows, columns)`` returns
    the mean difference of the two arms on resampled seeds and examples. The interval is the
    percentile interval; p is twice the smaller share of repeats on one side of zero, at least
    2 / (repeats + 1). Below 20 seeds both are too optimistic, and ``note`` says so.
    """
    size = partial(Crossed, n=seeds, examples=examples, method=PIGEONHOLE)
    mean = score(np.arange(seeds), np.arange(examples)) if seeds and examples else None
    if note := too_few(seeds, examples):
        return size(estimate=mean, note=note)
    drawn = pigeonhole_draws(score, seeds, examples, repeats)
    low, high = (float(value) for value in np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2]))
    side = min(int(np.sum(drawn <= 0)), int(np.sum(drawn >= 0)))
    p = min(1.0, 2 * (side + 1) / (repeats + 1))
    note = "; ".join(filter(None, (PIGEONHOLE, few_seeds(seeds))))
    return size(estimate=mean, low=low, high=high, p=p, note=note)


def pigeonhole_draws(score: Score, seeds: int, examples: int, repeats: int = BOOTSTRAPS) -> Array:
    """Return ``score`` on seeds and examples drawn anew together, ``[repeats]`` (fixed seed)."""
    generator = np.random.default_rng(0)
    return np.array(
        [
            score(
                generator.integers(seeds, size=seeds), generator.integers(examples, size=examples)
            )
            for _ in range(repeats)
        ]
    )


def over_examples(
    score: Callable[[NDArray[np.int64]], float], examples: int, repeats: int = EXAMPLE_BOOTSTRAPS
) -> TestResult:
    """Bootstrap the test examples of models that are taken as they are.

    The percentile interval (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13)
    of ``score(columns)`` on examples drawn anew; fixed seed. It covers what new examples of the
    same kind would change, not what another training seed would. There is no p value.
    Edges: fewer than two examples give a note and no interval.

    Args:
        score: A score, or a difference of two, on the examples of these numbers (repeats allowed).
        examples: How many there are.
        repeats: How often they are drawn.
    """
    if examples < 2:
        return TestResult(n=examples, method=PERCENTILE, note=f"{examples} test example(s)")
    generator = np.random.default_rng(0)
    drawn = [score(generator.integers(examples, size=examples)) for _ in range(repeats)]
    low, high = (float(value) for value in np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2]))
    estimate = score(np.arange(examples))
    return TestResult(estimate=estimate, low=low, high=high, n=examples, method=PERCENTILE)


def _t_test(mean: float, error: float, df: float) -> tuple[float, float, float]:
    reach = float(scipy.stats.t.ppf(1 - LEVEL / 2, df)) * error
    return mean - reach, mean + reach, float(2 * scipy.stats.t.sf(abs(mean) / error, df))


def _shares(v_s: float, v_e: float, v_r: float) -> tuple[float, float, float]:
    # v_s and v_e each hold the residual once: taken off, what is left is theirs alone.
    parts = max(v_s - v_r, 0.0), max(v_e - v_r, 0.0), v_r
    total = sum(parts)
    if total <= 0:
        return (0.0, 0.0, 0.0)
    return (parts[0] / total, parts[1] / total, parts[2] / total)


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p
