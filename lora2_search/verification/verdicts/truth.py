"""Rows of the scores against the truth."""

from __future__ import annotations

from collections.abc import Mapping

from ...report import p_value
from ...stats import TestResult, mean_correlation, paired, rejects, spearman, spearman_brown
from ..measurements import TruthResult
from ..page.rows import MEASURED, TOO_LITTLE, Row, defined, mean
from ..results import Results

_TRUTH = (
    "The truth is the change of the mean loss on {sentences} validation sentences when one λᵢ is "
    "set to 0 and everything else is kept (dropout off), for every λᵢ of unpruned runs. "
)


def rows(results: Results) -> list[Row]:
    """Judge by Spearman's correlation over all singular values, averaged over seeds."""
    found = results.of("unpruned", TruthResult)
    if not found:
        return []
    table = correlations(found)
    return [_tracks(table, found, results.plan.quick), _full(table, found, results.plan.quick)]


def correlations(
    found: Mapping[int, TruthResult],
) -> dict[str, dict[str, dict[int, float | None]]]:
    """Return Spearman's ρ with ΔL (``signed``) and |ΔL| (``size``), by scoring and seed.

    The mean over a run's steps, each undefined one left out. The scoring ``repeated`` is the truth
    of one half of the sentences against the other's, stepped up to all sentences. A score that
    knew ΔL on all the sentences there are would reach about the square root of that.
    """
    table: dict[str, dict[str, dict[int, float | None]]] = {}
    for seed, result in found.items():
        points = result.points
        for name in points[0].scores:
            signed = [spearman(p.scores[name], p.change) for p in points]
            size = [spearman(p.scores[name], list(map(abs, p.change))) for p in points]
            row = table.setdefault(name, {"signed": {}, "size": {}})
            row["signed"][seed], row["size"][seed] = _mean(signed), _mean(size)
        row = table.setdefault("repeated", {"signed": {}, "size": {}})
        row["signed"][seed] = _mean([spearman_brown(spearman(*p.halves)) for p in points])
        halves = [[list(map(abs, half)) for half in p.halves] for p in points]
        row["size"][seed] = _mean([spearman_brown(spearman(*pair)) for pair in halves])
    return table


def _tracks(
    table: dict[str, dict[str, dict[int, float | None]]],
    found: Mapping[int, TruthResult],
    quick: bool,
) -> Row:
    means = {
        name: {kind: mean_correlation(list(seeds.values())) for kind, seeds in kinds.items()}
        for name, kinds in table.items()
    }
    signed = "; ".join(
        f"{name} {_rho(kinds['signed'])}" for name, kinds in means.items() if name != "repeated"
    )
    sizes = "; ".join(
        f"{name} {_rho(kinds['size'])}" for name, kinds in means.items() if name != "repeated"
    )
    first = next(iter(found.values()))
    points = [point for result in found.values() for point in result.points]
    helps = [mean([float(change < 0) for change in point.change]) for point in points]
    seconds = mean([point.seconds for point in points])
    return Row(
        "truth",
        "The score finds the singular values that matter",
        "“pruning less important singular values”; no comparison with the truth is published",
        f"Spearman's ρ with ΔL: {signed} (95 % t intervals of Fisher's z over {len(found)} seeds); "
        f"with |ΔL|: {sizes}; reliability of the truth itself: "
        f"{_rho(means['repeated']['signed'])} and {_rho(means['repeated']['size'])}",
        TOO_LITTLE if quick else tracks_verdict(**means["reduced"]),
        _TRUTH.format(sentences=first.sentences)
        + f"It was measured at {len(first.points)} step(s) of each run, in {seconds:.0f} s per "
        f"step; {mean(helps):.0%} of the ΔL are below 0 (zeroing helps). A score is never "
        "negative, so it can follow |ΔL| better than ΔL. Each λᵢ is zeroed alone: this says "
        "nothing about zeroing many together, or about what later training repairs. The intervals "
        "are not corrected for multiple testing.",
        defined(
            {
                **{f"rho_{name}": kinds["signed"].estimate for name, kinds in means.items()},
                **{f"rho_size_{name}": kinds["size"].estimate for name, kinds in means.items()},
                "share_that_helps": mean(helps),
            }
        ),
    )


def tracks_verdict(signed: TestResult, size: TestResult) -> str:
    """Return what is shown of reduced scoring: that it follows how much, and which way.

    Args:
        signed: Its ρ with ΔL: does it keep what hurts to lose?
        size: Its ρ with |ΔL|: does it keep what matters at all?
    """
    if signed.low is None or signed.high is None or size.low is None:
        return TOO_LITTLE
    shown = "follows" if size.low > 0 else "is not shown to follow"
    how_much = f"reduced scoring {shown} how much zeroing changes the loss (|ΔL|)"
    if signed.low > 0:
        return f"{how_much} and in which direction (ΔL)"
    if signed.high < 0:
        return f"{how_much} but ranks against the direction (ΔL)"
    return f"{how_much}; the direction (ΔL) is not shown"


def _full(
    table: dict[str, dict[str, dict[int, float | None]]],
    found: Mapping[int, TruthResult],
    quick: bool,
) -> Row:
    full, reduced = table["full"]["signed"], table["reduced"]["signed"]
    differences = [
        one - other
        for seed in found
        if (one := full[seed]) is not None and (other := reduced[seed]) is not None
    ]
    test = paired(differences)
    span = "–" if test.low is None else f"{test.low:+.3f} to {test.high:+.3f}"
    verdict = MEASURED if test.p is None else "not shown to differ"
    if rejects(test.p):
        better = "full" if (test.estimate or 0.0) > 0 else "reduced"
        verdict = f"{better} scoring is closer to the truth (paired t)"
    return Row(
        "truth",
        "Leaving u and v out of the score takes it no further from the truth",
        "“without affecting pruning decisions”",
        "ρ of full minus ρ of reduced scoring: "
        f"{'–' if test.estimate is None else f'{test.estimate:+.3f}'} (95 % t interval {span}, "
        f"p {p_value(test.p)}, n = {test.n} seeds)",
        TOO_LITTLE if quick else verdict,
        "Paired by seed: both scorings see the same runs. No equivalence margin was fixed for a "
        "correlation, so a difference as large as the interval allows remains possible.",
        defined({"full_minus_reduced": test.estimate, "p": test.p}),
    )


def _rho(found: TestResult) -> str:
    """Return ``+0.31 (+0.20 to +0.41)``."""
    if found.estimate is None:
        return "undefined"
    if found.low is None or found.high is None:
        return f"{found.estimate:+.2f}"
    return f"{found.estimate:+.2f} ({found.low:+.2f} to {found.high:+.2f})"


def _mean(values: list[float | None]) -> float | None:
    defined_values = [value for value in values if value is not None]
    return mean(defined_values) if defined_values else None
