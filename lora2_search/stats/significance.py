"""Paired comparisons: intervals, tests, corrections for multiplicity."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

T, BCA = "t", "BCa"


BOOTSTRAP_FROM = 20


_RESAMPLES = 9_999


@dataclass(frozen=True)
class Interval:
    """An interval of a mean.

    Attributes:
        low: Lower end.
        high: Upper end.
        method: ``t`` or ``BCa``.
    """

    low: float
    high: float
    method: str


def mean_interval(values: NDArray[np.float64], level: float) -> Interval:
    """Return the interval of a mean that covers 1 - ``level``.

    For normal differences BCa covers 0.81 instead of 0.95 at 5 pairs and 0.91 at 10, so below 20
    pairs the t interval stands; from 20 the bias-corrected and accelerated bootstrap (Efron 1987;
    9,999 resamples, fixed seed), which is not bound to normal differences.

    Args:
        values: At least two that are not all equal, ``[n]``.
        level: One minus the coverage.
    """
    if len(values) >= BOOTSTRAP_FROM:
        found = _bca(values, level)
        if found is not None:
            return found
    reach = t_reach(values, level)
    return Interval(float(values.mean()) - reach, float(values.mean()) + reach, T)


def t_reach(values: NDArray[np.float64], level: float) -> float:
    """Return half the width of the t interval of a mean; ``values`` are two or more."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(stats.t.ppf(1 - level / 2, len(values) - 1)) * error


def _bca(values: NDArray[np.float64], level: float) -> Interval | None:
    with warnings.catch_warnings():
        # Where BCa has no answer (resamples that are all equal) scipy warns and returns NaN.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        low, high = stats.bootstrap(
            (values,),
            np.mean,
            confidence_level=1 - level,
            n_resamples=_RESAMPLES,
            method="BCa",
            rng=np.random.default_rng(0),
        ).confidence_interval
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return Interval(float(low), float(high), BCA)


Array = NDArray[np.float64]


# The mean difference of two arms on some seeds (rows) and examples (columns).
Score = Callable[[NDArray[np.int64], NDArray[np.int64]], float]


LEVEL = 0.05


# Draws of a two-way bootstrap, which so has no p below 2 / (BOOTSTRAPS + 1).
BOOTSTRAPS = 400


# Differences of scores are differences of fractions: what is smaller is the float's own error.
_EPSILON = 1e-12


_EXACT_UP_TO = 20


_RANDOM_FLIPS = 100_000


@dataclass(frozen=True)
class Paired:
    """The difference of two arms over seeds that both have, on one fixed test set.

    Attributes:
        n: Pairs, one a seed.
        mean: Mean difference.
        sd: Standard deviation of the differences (n - 1).
        low: Lower end of the 95 % interval of the mean.
        high: Upper end of it.
        p: Two-sided paired t test.
        sign_flip: Two-sided exact sign-flip test.
        ties: Seeds on which both arms score the same.
        note: Why a number is missing.
        method: How the interval was made: ``t`` below 20 pairs, ``BCa`` from there.
    """

    n: int
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    sign_flip: float | None = None
    ties: int = 0
    note: str = ""
    method: str = T


@dataclass(frozen=True)
class Crossed:
    """The difference of two arms when seeds and test sentences are both new.

    Attributes:
        seeds: Rows.
        examples: Columns.
        mean: Mean difference.
        low: Lower end of the 95 % interval.
        high: Upper end of it.
        p: Two-sided test.
        shares: Shares of the chance in ``mean`` that come from ``seeds``, ``sentences`` and
            ``both`` (how a sentence falls out with a seed; shrinks with either). Sum 1 or all 0.
        note: Why a number is missing.
        error: Standard error of ``mean``; ``None`` where there is no t test.
        df: Degrees of freedom of that test.
    """

    seeds: int
    examples: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    shares: tuple[float, float, float] = (0.0, 0.0, 0.0)
    note: str = ""
    error: float | None = None
    df: float | None = None


def rejects(p: float | None) -> bool:
    """Whether a p value is at most the level; it is not where there is none."""
    return p is not None and p <= LEVEL


def too_few(seeds: int, examples: int) -> str:
    """Say that so many seeds and examples allow no test over both; empty where they do."""
    if seeds >= 2 and examples >= 2:
        return ""
    return f"{seeds} seed(s) and {examples} common test sentence(s): both must be 2 or more"


def paired(differences: Sequence[float] | Array) -> Paired:
    """Test whether the mean of the differences over seeds is zero.

    Edges: no pair and one pair give a note and no test; equal differences have no variance to
    test against, so they give p = 1 and [0, 0] when all are zero, else a note.
    """
    d = np.asarray(differences, dtype=float)
    n = len(d)
    if n == 0:
        return Paired(0, note="no seed has a finished run of both arms")
    mean, ties = float(d.mean()), int(np.sum(np.abs(d) < _EPSILON))
    if n == 1:
        return Paired(1, mean, ties=ties, note="one seed: no test is possible")
    flip = sign_flip(d)
    if np.ptp(d) < _EPSILON:
        if ties == n:
            return Paired(n, 0.0, 0.0, 0.0, 0.0, 1.0, flip, ties, "no seed variation: all tie")
        note = f"no seed variation: every seed differs by {mean:+.4f}, so there is no t test"
        return Paired(n, mean, 0.0, None, None, None, flip, ties, note)
    found = mean_interval(d, LEVEL)
    sd, p = float(d.std(ddof=1)), paired_p(d)
    return Paired(n, mean, sd, found.low, found.high, p, flip, ties, method=found.method)


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

    Exact up to 20 pairs: the share of all 2ⁿ sign patterns whose sum is at least as far from
    zero. Above, 100,000 random patterns (fixed seed), the observed one counted among them.
    """
    d = np.asarray(differences, dtype=float)
    seen = abs(d.sum()) - _EPSILON * max(len(d), 1)
    if len(d) <= _EXACT_UP_TO:
        sums = np.zeros(1)
        for value in d:
            sums = np.concatenate([sums + value, sums - value])
        return float(np.mean(np.abs(sums) >= seen))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(_RANDOM_FLIPS, len(d)))
    hits = int(np.sum(np.abs(signs @ d) >= seen))
    return (hits + 1) / (_RANDOM_FLIPS + 1)


def seeds_for_sign_flip(comparisons: int, level: float = LEVEL) -> int:
    """Return the fewest seeds with which the exact test can reject under Holm: log2(2m / level)."""
    return max(2, math.ceil(math.log2(2 * max(comparisons, 1) / level)))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p values over a family named before the run.

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

    and df = S - 1 where the maximum is v_s (Satterthwaite; see docs/ablation.md).
    Edges: v = 0 gives p = 1 and [0, 0] for identical predictions, else a note.
    """
    d = np.asarray(differences, dtype=float)
    rows, columns = d.shape if d.ndim == 2 else (0, 0)
    if note := too_few(rows, columns):
        mean = float(d.mean()) if d.size else None
        return Crossed(rows, columns, mean, note=note)
    mean = float(d.mean())
    v_s, v_e, v_r = variance_parts(d)
    v = max(v_s + v_e - v_r, v_s, v_e)
    if v < _EPSILON**2:
        if abs(mean) < _EPSILON:
            note = "the predictions are right and wrong on the same sentences"
            return Crossed(rows, columns, 0.0, 0.0, 0.0, 1.0, note=note)
        return Crossed(rows, columns, mean, note=f"every prediction differs by {mean:+.4f}")
    satterthwaite = v**2 / (v_s**2 / (rows - 1) + v_e**2 / (columns - 1))
    df = rows - 1 if v == v_s else satterthwaite
    error = math.sqrt(v)
    low, high, p = _t_test(mean, error, df)
    shares = _shares(v_s, v_e, v_r)
    return Crossed(rows, columns, mean, low, high, p, shares, error=error, df=df)


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

    ``score(rows, columns)`` returns the mean difference of the two arms on resampled seeds and
    examples. The interval is the percentile interval; p is twice the smaller share of repeats on
    one side of zero, at least 2 / (repeats + 1). Below 20 seeds both are too optimistic, and
    ``note`` says so.
    """
    if note := too_few(seeds, examples):
        mean = score(np.arange(seeds), np.arange(examples)) if seeds and examples else None
        return Crossed(seeds, examples, mean, note=note)
    drawn = pigeonhole_draws(score, seeds, examples, repeats)
    low, high = (float(value) for value in np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2]))
    side = min(int(np.sum(drawn <= 0)), int(np.sum(drawn >= 0)))
    p = min(1.0, 2 * (side + 1) / (repeats + 1))
    note = "; ".join(filter(None, ("two-way bootstrap", few_seeds(seeds))))
    mean = score(np.arange(seeds), np.arange(examples))
    return Crossed(seeds, examples, mean, low, high, p, note=note)


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


def _t_test(mean: float, error: float, df: float) -> tuple[float, float, float]:
    reach = float(stats.t.ppf(1 - LEVEL / 2, df)) * error
    return mean - reach, mean + reach, float(2 * stats.t.sf(abs(mean) / error, df))


def _shares(v_s: float, v_e: float, v_r: float) -> tuple[float, float, float]:
    # v_s and v_e each hold the residual once: taken off, what is left is theirs alone.
    parts = max(v_s - v_r, 0.0), max(v_e - v_r, 0.0), v_r
    total = sum(parts)
    if total <= 0:
        return (0.0, 0.0, 0.0)
    return (parts[0] / total, parts[1] / total, parts[2] / total)


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p
