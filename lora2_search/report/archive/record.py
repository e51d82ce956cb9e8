"""A run's record made small: without its long history, and without what other records say too."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ...store import RunRecord

# A record, or a part of one, as JSON values.
Told = dict[str, Any]


# What figures show through training; the training loss of every step is left out.
_KEPT = ("validation/", "geometry/", "rank/")


_MARKS = ("validation/", "geometry/")


_DIGITS = 6


def lean(record: RunRecord) -> Told:
    """Return a record as plain values, its history cut to its evaluations and laid in columns.

    Metrics of the history keep six digits and lose their times; all else is kept as it is.
    """
    told = record.model_dump(mode="json")
    points = [p for p in record.history if any(k.startswith(_MARKS) for k in p.metrics)]
    names = dict.fromkeys(k for p in points for k in p.metrics if k.startswith(_KEPT))
    told["history"] = {
        "step": [point.step for point in points],
        "metrics": {
            name: [_rounded(point.metrics.get(name)) for point in points] for name in names
        },
    }
    told["rank_pattern"] = {
        "modules": list(record.rank_pattern),
        "ranks": list(record.rank_pattern.values()),
    }
    return told


def shared(records: Sequence[Told]) -> Told:
    """Return what the others are told against: the first record, or nothing of no records."""
    return copy.deepcopy(records[0]) if records else {}


def without_shared(told: Told, common: Told) -> Told:
    """Return what a record has of its own.

    Returns:
        ``own``: values that differ or are new, nested as they were; ``lacks``: the paths of keys
        that the shared one has and this one has not.
    """
    own, lacks = _apart(told, common, ())
    return {"own": own, "lacks": lacks} if lacks else {"own": own}


def rebuilt(line: Told, common: Told) -> RunRecord:
    """Return the record that a line of ``without_shared`` was made from, its history cut.

    What is left of the history has the time at which the run ended.
    """
    told = copy.deepcopy(common)
    for *path, last in line.get("lacks", []):
        place = told
        for key in path:
            place = place[key]
        del place[last]
    _lay_over(told, line["own"])
    history, pattern = told["history"], told["rank_pattern"]
    told["history"] = [
        {
            "step": step,
            "time_ms": told.get("ended_ms") or told.get("started_ms") or 0,
            "metrics": {
                name: values[place]
                for name, values in history["metrics"].items()
                if values[place] is not None
            },
        }
        for place, step in enumerate(history["step"])
    ]
    told["rank_pattern"] = dict(zip(pattern["modules"], pattern["ranks"], strict=True))
    return RunRecord.model_validate(told)


def _apart(told: Told, common: Told, path: tuple[str, ...]) -> tuple[Told, list[list[str]]]:
    own: Told = {}
    lacks = [[*path, key] for key in common if key not in told]
    for key, value in told.items():
        theirs = common.get(key)
        if key in common and isinstance(value, dict) and isinstance(theirs, dict):
            inner, missing = _apart(value, theirs, (*path, key))
            lacks += missing
            if inner:
                own[key] = inner
        elif key not in common or value != theirs:
            own[key] = value
    return own, lacks


def _lay_over(told: Told, own: Mapping[str, Any]) -> None:
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(told.get(key), dict):
            _lay_over(told[key], value)
        else:
            told[key] = value


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
