"""A metric through training, arm by arm: mean and range over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..store import RunRecord
from .records import SuiteRuns

GEOMETRY = "geometry/"


@dataclass(frozen=True)
class Band:
    """One metric of one arm through training.

    Attributes:
        arm: The arm.
        runs: Complete runs behind it.
        steps: Optimiser steps at which every one of them has the metric, ascending, ``[n]``.
        mean: Mean over seeds at each step, ``[n]``.
        low: Least value over seeds, ``[n]``.
        high: Greatest value over seeds, ``[n]``.
    """

    arm: str
    runs: int
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def bands(suite: SuiteRuns, key: str) -> list[Band]:
    """Return one band an arm whose complete runs recorded ``key``; diverged runs are left out.

    Runs of one arm that were evaluated at different steps share only the steps they have in
    common: a mean over other runs at every step would jump where none of them does.
    """
    result = []
    for arm in suite.arms:
        curves = [curve for curve in (_curve(r, key) for r in ended(suite, arm)) if curve]
        if not curves:
            continue
        steps = sorted(set.intersection(*(set(curve) for curve in curves)))
        if not steps:
            continue
        values = np.array([[curve[step] for step in steps] for curve in curves])  # [runs, n]
        result.append(
            Band(
                arm,
                len(curves),
                tuple(steps),
                tuple(values.mean(axis=0).tolist()),
                tuple(values.min(axis=0).tolist()),
                tuple(values.max(axis=0).tolist()),
            )
        )
    return result


def geometry_keys(suite: SuiteRuns) -> list[str]:
    """Return the names of the geometry metrics that any complete run recorded, overlap first."""
    keys = {
        name
        for arm in suite.arms
        for record in ended(suite, arm)
        for point in record.history
        for name in point.metrics
        if name.startswith(GEOMETRY)
    }
    return sorted(keys, key=lambda name: (not name.endswith("overlap"), name))


def ended(suite: SuiteRuns, arm: str) -> Iterator[RunRecord]:
    """Yield the records of an arm's complete runs, in the order of the seeds."""
    for seed in suite.seeds:
        run = suite.runs.get((arm, seed))
        if run is not None and run.record.status == "completed" and not run.diverged:
            yield run.record


def _curve(record: RunRecord, key: str) -> dict[int, float]:
    return {
        point.step: point.metrics[key]
        for point in record.history
        if key in point.metrics and math.isfinite(point.metrics[key])
    }
