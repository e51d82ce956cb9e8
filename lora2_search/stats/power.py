"""What seeds buy: the power of the tests before a run, and what they could have found after it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

from .equivalence import Equivalence
from .significance import LEVEL, Paired

POWER = 0.8

# Beyond this many seeds a suite is the wrong instrument, and the exact number tells nothing.
MOST_SEEDS = 10_000

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(200)


def paired_power(effect: float, seeds: int, level: float = LEVEL) -> float:
    """Return the chance that the two-sided paired t test finds an effect.

    By the noncentral t distribution (Owen 1965, Biometrika 52, 437).

    Args:
        effect: True mean difference in standard deviations of the paired difference.
        seeds: Pairs.
        level: Level of the one test: ``0.05 / m`` for m comparisons (Bonferroni; Dunn 1961, J. Am.
            Stat. Assoc. 56, 52).

    Returns:
        Share of suites, 0 below two seeds.
    """
    if seeds < 2:
        return 0.0
    df, shift = seeds - 1, abs(effect) * math.sqrt(seeds)
    bound = float(scipy.stats.t.isf(level / 2, df))
    # Far on the other side scipy's noncentral t underflows to NaN, where its value is nothing.
    other = float(np.nan_to_num(scipy.stats.nct.cdf(-bound, df, shift)))
    return min(1.0, float(scipy.stats.nct.sf(bound, df, shift)) + other)


def equivalence_power(
    margin: float, true: float, error: float, df: float, level: float = LEVEL
) -> float:
    """Return the chance that two one-sided t tests show a mean within ± ``margin``.

    The test rejects where ``|mean| ≤ margin - t s``, so its power is the mean, over the chi
    distribution of s (the estimated error), of the normal probability of that interval. This is
    the exact power that Owen's Q gives too (Phillips 1990, J. Pharmacokinet. Biopharm. 18, 137).

    Args:
        margin: The margin.
        true: The true difference.
        error: The true standard error of the mean.
        df: Degrees of freedom of the test.
        level: Level of the one test.
    """
    if df < 1:
        return 0.0
    if error <= 0:
        return float(abs(true) < margin)
    bound = float(scipy.stats.t.isf(level, df))
    # Above s = margin / bound no mean is shown to be within the margin; below 1e-14 on either
    # side of its distribution s does not come.
    ends = scipy.stats.chi.ppf([1e-14, 1 - 1e-14], df)
    least, most = (float(end) / math.sqrt(df) for end in ends)
    width = min(margin / bound / error, most) - least
    if width <= 0:
        return 0.0
    ratios = least + (_NODES + 1) / 2 * width
    reach = (margin - bound * error * ratios) / error
    above, below = reach - true / error, -reach - true / error
    inside = scipy.stats.norm.cdf(above) - scipy.stats.norm.cdf(below)
    density = scipy.stats.chi.pdf(ratios * math.sqrt(df), df) * math.sqrt(df)
    return float(np.sum(_NODE_WEIGHTS * inside * density) * width / 2)


def paired_equivalence_power(
    margin: float, sd: float, seeds: int, true: float = 0.0, level: float = LEVEL
) -> float:
    """Return ``equivalence_power`` of paired differences of standard deviation ``sd``."""
    if seeds < 2:
        return 0.0
    return equivalence_power(margin, true, sd / math.sqrt(seeds), seeds - 1, level)


def seeds_for_difference(effect: float, level: float = LEVEL, power: float = POWER) -> int | None:
    """Return the fewest seeds that find ``effect`` (in sd) that often; ``None`` above 10,000."""
    return _fewest(lambda seeds: paired_power(effect, seeds, level), power)


def seeds_for_equivalence(
    margin: float, sd: float, true: float = 0.0, level: float = LEVEL, power: float = POWER
) -> int | None:
    """Return the fewest seeds that show equality within ± ``margin`` that often.

    ``None`` where ``true`` lies outside the margin, or above 10,000 seeds.
    """
    if abs(true) >= margin:
        return None
    return _fewest(lambda seeds: paired_equivalence_power(margin, sd, seeds, true, level), power)


def detectable(sd: float, seeds: int, level: float = LEVEL, power: float = POWER) -> float | None:
    """Return the smallest true difference that is found that often; ``None`` below two seeds.

    Args:
        sd: Standard deviation of the paired difference, in the unit of the answer.
        seeds: Pairs.
        level: Level of the one test.
        power: Share of suites that find it.
    """
    if seeds < 2:
        return None
    high = 1.0
    while paired_power(high, seeds, level) < power:
        high *= 2
    effect = scipy.optimize.brentq(
        lambda effect: paired_power(effect, seeds, level) - power, 0.0, high
    )
    return float(effect) * sd


@dataclass(frozen=True)
class Reach:
    """What a comparison could have found with the seeds and the spread that it has.

    Attributes:
        detectable: Smallest true difference found in 80 % of such suites.
        seeds: Seeds with which a true difference as large as the one seen would be found in 80 %
            of suites; ``None`` where nothing was seen or more than 10,000 would be needed.
    """

    detectable: float
    seeds: int | None


def reach(test: Paired, comparisons: int) -> Reach | None:
    """Return what ``test`` could have found, one of a family; ``None`` where it has no spread."""
    if test.p is None or test.estimate is None or not test.sd:
        return None
    level = LEVEL / max(comparisons, 1)
    found = detectable(test.sd, test.n, level)
    if found is None:
        return None
    effect = abs(test.estimate) / test.sd
    return Reach(found, seeds_for_difference(effect, level) if effect > 0 else None)


def seeds_for_margin(test: Paired, claim: Equivalence, claims: int) -> int | None:
    """Return the seeds that would show a claim of equality in 80 % of suites.

    Taken for granted is that nothing differs and that the spread is the one seen: with a true
    difference more are needed, and at the margin no number is enough.

    Args:
        test: The paired test of the same difference.
        claim: The claim.
        claims: Claims that are corrected together.
    """
    if not test.sd:
        return None
    return seeds_for_equivalence(claim.margin, test.sd, level=LEVEL / max(claims, 1))


def _fewest(chance: Callable[[int], float], power: float) -> int | None:
    if chance(MOST_SEEDS) < power:
        return None
    low, high = 1, 2
    while chance(high) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
    return high
