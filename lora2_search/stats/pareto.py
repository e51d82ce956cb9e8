"""Points that no other point beats, and how much of the space they cover. Lower is better."""

from __future__ import annotations

from collections.abc import Sequence

Vector = Sequence[float]


def dominates(one: Vector, other: Vector) -> bool:
    """Return whether ``one`` is nowhere worse than ``other`` and somewhere better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def non_dominated(points: Sequence[Vector]) -> list[int]:
    """Return the places of the points that no other dominates, in order; equal points all stay.

    Args:
        points: Of one dimension each, lower is better in all.
    """
    return [
        place
        for place, point in enumerate(points)
        if not any(dominates(other, point) for other in points)
    ]


def hypervolume(points: Sequence[Vector], reference: Vector) -> float:
    """Return the volume of what the points dominate, up to a reference point.

    Cut into slices along the last dimension, each of which is a problem of one dimension less
    (HSO: While et al. 2006). Exact; for fronts of some dozens of points in up to five dimensions.

    Args:
        points: Lower is better in all dimensions; one beyond the reference counts nothing.
        reference: Of the same dimension.
    """
    inside = [tuple(p) for p in points if all(a < b for a, b in zip(p, reference, strict=True))]
    if not inside:
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - min(point[0] for point in inside))
    ordered = sorted(inside, key=lambda point: point[-1])
    ends = [*(point[-1] for point in ordered[1:]), reference[-1]]
    volume = 0.0
    for count, (point, end) in enumerate(zip(ordered, ends, strict=True), start=1):
        if end > point[-1]:
            below = [other[:-1] for other in ordered[:count]]
            volume += (end - point[-1]) * hypervolume(below, reference[:-1])
    return volume
