"""Rows of the planes: angles, overlap, what regularisers do to it, sign flips."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...report import p_value
from ...stats import LEVEL, Paired, paired
from ..measurements import PlanesPoint, PlanesResult
from ..page.rows import FAILS, MEASURED, TOO_LITTLE, Row, defined, mean
from ..results import Results

_ByArm = Mapping[str, Mapping[int, PlanesResult]]

_ARMS = {"unpruned": "regularised", "no-regulariser": "γ = 0", "cross": "γ_cross = 1"}

# Degrees; what float64 leaves of an angle that is 0.
_NONE = 1e-6


def rows(results: Results) -> list[Row]:
    """Judge the planes of the unpruned runs."""
    found = {arm: results.of(arm, PlanesResult) for arm in _ARMS}
    if not found["unpruned"]:
        return []
    return [
        _angles(found["unpruned"]),
        _overlap(found, results),
        _with_increment(found),
        _errors(found),
        _flips(found),
    ]


def _angles(found: Mapping[int, PlanesResult]) -> Row:
    points = [point for result in found.values() for point in result.points]
    largest = max(point.angle for point in points)
    contrasts = [point.contrast for point in points if point.contrast is not None]
    contrast = mean(contrasts) if contrasts else None
    beside = "" if contrast is None else f"; between the u of two matrices: {contrast:.1f}°"
    return Row(
        "planes",
        "The two planes are orthogonal subspaces",
        "“two sets of low-rank matrices on mutually orthogonal planes”",
        f"largest principal angle between col(uU) and col(u), likewise for the rows, over all "
        f"steps: {largest:.1g}°{beside} ({len(found)} seeds, {len(points)} measurements)",
        FAILS if largest < _NONE else MEASURED,
        "col(uU) lies inside col(u) whatever is trained, so the planes never separate, with or "
        "without regularisers. The products uv and uUVv may still point in different directions: "
        "the next row measures their overlap. This definition of the overlap is ours, "
        "because uv and UV have different shapes.",
        defined({"largest_angle_degrees": largest, "contrast_degrees": contrast}),
    )


def _overlap(found: _ByArm, results: Results) -> Row:
    firsts = [result.points[0].overlap for result in found["unpruned"].values()]
    starts = [overlap for overlap in firsts if overlap is not None]
    start = mean(starts) if starts else None
    ends = {arm: _last(seeds, lambda point: point.overlap) for arm, seeds in found.items()}
    text = ", ".join(f"{_ARMS[arm]} {mean(list(v.values())):.4f}" for arm, v in ends.items() if v)
    common = sorted(ends["unpruned"].keys() & ends["no-regulariser"].keys())
    test = paired([ends["unpruned"][s] - ends["no-regulariser"][s] for s in common])
    cross = sorted(ends["unpruned"].keys() & ends["cross"].keys())
    crossed = paired([ends["cross"][s] - ends["unpruned"][s] for s in cross])
    return Row(
        "planes",
        "Dual regularisation lowers the overlap of uv and UV",
        "“dual regularization to minimize overlap”",
        f"cos²(uv, uUVv), mean over matrices: "
        f"{'–' if start is None else f'{start:.4f}'} at the start; at the end: {text}; "
        f"regularised minus γ = 0: {_difference(test)}; γ_cross = 1 minus regularised: "
        f"{_difference(crossed)}",
        _overlap_verdict(test, results.plan.quick),
        "The regularisers push the columns of each factor towards orthonormality; they do not push "
        "the planes apart. γ_cross is the term that the published code computes but does not use. "
        "The overlap is not a property of ΔW (see the sign flips) and says nothing about scores.",
        defined(
            {
                "overlap_start": start,
                **{f"overlap_end_{arm}": mean(list(v.values())) for arm, v in ends.items() if v},
                "regularised_minus_none": test.estimate,
                "regularised_minus_none_p": test.p,
                "cross_minus_without": crossed.estimate,
                "cross_minus_without_p": crossed.p,
            }
        ),
    )


def _overlap_verdict(test: Paired, quick: bool) -> str:
    if quick:
        return TOO_LITTLE
    if test.p is None:
        return f"undecided: {test.note}"
    if test.p > LEVEL:
        return "not shown to differ"
    lower = (test.estimate or 0.0) < 0
    return f"{'lower' if lower else 'higher'} with the regularisers (paired t, n = {test.n})"


def _with_increment(found: _ByArm) -> Row:
    ends = {arm: _last(seeds, lambda point: point.with_increment) for arm, seeds in found.items()}
    means = {arm: mean(list(values.values())) for arm, values in ends.items() if values}
    text = ", ".join(f"{_ARMS[arm]} {value:.4f}" for arm, value in means.items())
    return Row(
        "planes",
        "How much of ΔW lies along uv",
        "not published",
        f"cos²(uv, ΔW) at the end, mean over matrices: {text or 'undefined'}",
        MEASURED,
        "A value of 1 would mean that ΔW is a multiple of uv. λ and the inner plane decide where "
        "ΔW lies in the space that u and v span; a small value says only that ΔW is far from uv.",
        {f"with_increment_{arm}": value for arm, value in means.items()},
    )


def _errors(found: _ByArm) -> Row:
    first = next(iter(found["unpruned"].values())).points[0].errors
    numbers: dict[str, float] = {}
    texts = []
    for arm, seeds in found.items():
        if not seeds:
            continue
        ends = [result.points[-1].errors for result in seeds.values()]
        means = {plane: mean([errors[plane] for errors in ends]) for plane in first}
        numbers |= {f"error_{plane}_{arm}": value for plane, value in means.items()}
        parts = [f"{plane} {value:.3f}" for plane, value in means.items()]
        texts.append(f"{_ARMS[arm]} {', '.join(parts)}")
    return Row(
        "planes",
        "The regularisers make each factor orthonormal",
        "“dual regularization enforcing orthogonality between the two LoRA sets”",
        f"mean ‖XᵀX − I‖ at the end: {'; '.join(texts)} (start: "
        f"{', '.join(f'{plane} {error:.3f}' for plane, error in first.items())})",
        MEASURED,
        "0 means orthonormal. This is what the regularisers act on: the columns within one factor. "
        "It is not orthogonality between the two sets.",
        numbers,
    )


def _flips(found: _ByArm) -> Row:
    flips = [result.flips for seeds in found.values() for result in seeds.values()]
    increment = max(f.increment for f in flips)
    moved, largest = mean([f.mean for f in flips]), max(f.largest for f in flips)
    # Signs flip exactly: what changes an increment is no rounding.
    free = increment == 0 and largest > 0
    return Row(
        "planes",
        "The overlap of the planes is a property of ΔW",
        "not published",
        f"flipping column i of U together with λᵢ changes ΔW by {increment:.1g} and the overlap by "
        f"{moved:.4f} on average, {largest:.3f} at most ({sum(f.flips for f in flips):,} flips)",
        FAILS if free else MEASURED,
        "The same ΔW can be written with other overlaps. A small overlap therefore describes the "
        "factorisation, not what the adapter computes. Training may still proceed differently.",
        {"increment_change": increment, "overlap_change_mean": moved, "overlap_change": largest},
    )


def _last(
    seeds: Mapping[int, PlanesResult], value_of: Callable[[PlanesPoint], float | None]
) -> dict[int, float]:
    found = {seed: value_of(result.points[-1]) for seed, result in seeds.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _difference(test: Paired) -> str:
    if test.estimate is None:
        return "–"
    if test.low is None:
        return f"{test.estimate:+.4f}"
    return (
        f"{test.estimate:+.4f} (95 % t interval {test.low:+.4f} to {test.high:+.4f}, "
        f"p {p_value(test.p)})"
    )
