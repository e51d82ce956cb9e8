"""Rows of the planes: angles, overlap, what regularisers do to it, sign flips."""

from __future__ import annotations

from typing import Any

from ...report import p_value
from ...stats import LEVEL, paired
from ..page.rows import FAILS, MEASURED, TOO_LITTLE, Row, defined, mean
from ..results import Results

_ARMS = {"unpruned": "regularised", "no-regulariser": "γ = 0", "cross": "γ_cross = 1"}


# Degrees; what float64 leaves of an angle that is 0.
_NONE = 1e-6


def rows(results: Results) -> list[Row]:
    """Judge the planes of the unpruned runs."""
    found = {arm: results.of(arm, "planes") for arm in _ARMS}
    if not found["unpruned"]:
        return []
    return [
        _angles(found["unpruned"]),
        _overlap(found, results),
        _with_increment(found),
        _errors(found),
        _flips(found),
    ]


def _angles(found: dict[int, Any]) -> Row:
    points = [point for result in found.values() for point in result["points"]]
    largest = max(point["angle"] for point in points)
    contrasts = [point["contrast"] for point in points if point["contrast"] is not None]
    contrast = mean(contrasts) if contrasts else None
    beside = "" if contrast is None else f"; between the u of two matrices {contrast:.1f}°"
    return Row(
        "planes",
        "The two planes are orthogonal to each other as subspaces",
        "“two sets of low-rank matrices on mutually orthogonal planes”",
        f"largest principal angle between col(uU) and col(u), rows likewise, at all steps: "
        f"{largest:.1g}°{beside} ({len(found)} seeds, {len(points)} looks)",
        FAILS if largest < _NONE else MEASURED,
        "col(uU) lies inside col(u) whatever is trained, so the planes never part, with or "
        "without regularisers. It does not say that the two products uv and uUVv point alike: "
        "that is the overlap below, which is our definition, as uv and UV have different shapes.",
        defined({"largest_angle_degrees": largest, "contrast_degrees": contrast}),
    )


def _overlap(found: dict[str, dict[int, Any]], results: Results) -> Row:
    start = mean([result["points"][0]["overlap"] for result in found["unpruned"].values()])
    ends = {arm: _last(seeds, "overlap") for arm, seeds in found.items()}
    told = ", ".join(f"{_ARMS[arm]} {mean(list(v.values())):.4f}" for arm, v in ends.items() if v)
    common = sorted(ends["unpruned"].keys() & ends["no-regulariser"].keys())
    test = paired([ends["unpruned"][s] - ends["no-regulariser"][s] for s in common])
    cross = sorted(ends["unpruned"].keys() & ends["cross"].keys())
    crossed = paired([ends["cross"][s] - ends["unpruned"][s] for s in cross])
    return Row(
        "planes",
        "Dual regularisation lowers the overlap of uv with UV",
        "“dual regularization to minimize overlap”",
        f"cos²(uv, uUVv), mean over matrices: {start:.4f} at the start; at the end {told}; "
        f"regularised − γ = 0: {_difference(test)}; with γ_cross − without: "
        f"{_difference(crossed)}",
        _overlap_verdict(test, results.plan.quick),
        "Each factor is regularised towards orthonormal columns, not the planes against each "
        "other; γ_cross is the term that the published code computes and does not use. The overlap "
        "is no property of ΔW (see the sign flips), and says nothing about scores.",
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


def _overlap_verdict(test: Any, quick: bool) -> str:
    if quick:
        return TOO_LITTLE
    if test.p is None:
        return f"not told: {test.note}"
    if test.p > LEVEL:
        return "not shown to differ"
    lower = (test.estimate or 0.0) < 0
    return f"{'lower' if lower else 'higher'} with the regularisers (paired t, n = {test.n})"


def _with_increment(found: dict[str, dict[int, Any]]) -> Row:
    ends = {arm: _last(seeds, "with_increment") for arm, seeds in found.items()}
    means = {arm: mean(list(values.values())) for arm, values in ends.items() if values}
    told = ", ".join(f"{_ARMS[arm]} {value:.4f}" for arm, value in means.items())
    return Row(
        "planes",
        "How much of ΔW points along uv",
        "not published",
        f"cos²(uv, ΔW) at the end, mean over matrices: {told or 'undefined'}",
        MEASURED,
        "1 would say that ΔW is a multiple of uv. λ and the inner plane decide what ΔW is inside "
        "the space that u and v open; a small number says only that they do not leave it as it is.",
        {f"with_increment_{arm}": value for arm, value in means.items()},
    )


def _errors(found: dict[str, dict[int, Any]]) -> Row:
    first = next(iter(found["unpruned"].values()))["points"][0]
    planes = [name for name in first if name.startswith("error_")]
    numbers, told = {}, []
    for arm, seeds in found.items():
        for plane in planes:
            values = _last(seeds, plane)
            if values:
                numbers[f"{plane}_{arm}"] = mean(list(values.values()))
        if seeds:
            parts = [f"{p[6:]} {numbers[f'{p}_{arm}']:.3f}" for p in planes]
            told.append(f"{_ARMS[arm]} {', '.join(parts)}")
    return Row(
        "planes",
        "The regularisers make each factor orthonormal",
        "“dual regularization enforcing orthogonality between the two LoRA sets”",
        f"mean ‖XᵀX − I‖ at the end: {'; '.join(told)} (start: "
        f"{', '.join(f'{p[6:]} {first[p]:.3f}' for p in planes)})",
        MEASURED,
        "0 is orthonormal. This is what the regularisers do act on: columns within one factor. "
        "It is not orthogonality between the two sets.",
        numbers,
    )


def _flips(found: dict[str, dict[int, Any]]) -> Row:
    flips = [r["flips"] for seeds in found.values() for r in seeds.values() if r["flips"]]
    increment = max(f["increment"] for f in flips)
    moved, largest = mean([f["mean"] for f in flips]), max(f["largest"] for f in flips)
    # Signs flip exactly: what changes an increment is no rounding.
    free = increment == 0 and largest > 0
    return Row(
        "planes",
        "The overlap of the planes is a property of the increment",
        "not published",
        f"flipping column i of U and λᵢ: ΔW changes by {increment:.1g}, the overlap by {moved:.4f} "
        f"on average and {largest:.3f} at most ({sum(int(f['flips']) for f in flips):,} flips)",
        FAILS if free else MEASURED,
        "The same ΔW can be written with other overlaps, so a small overlap is a property of the "
        "way it is written, not of what the adapter computes. Training may still go differently.",
        {"increment_change": increment, "overlap_change_mean": moved, "overlap_change": largest},
    )


def _last(seeds: dict[int, Any], name: str) -> dict[int, float]:
    found = {seed: result["points"][-1][name] for seed, result in seeds.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _difference(test: Any) -> str:
    if test.estimate is None:
        return "–"
    if test.low is None:
        return f"{test.estimate:+.4f}"
    return (
        f"{test.estimate:+.4f} (95 % t interval {test.low:+.4f} to {test.high:+.4f}, "
        f"p {p_value(test.p)})"
    )
