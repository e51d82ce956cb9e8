"""A run's record made small: without its long history, and without what other records say too."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ...store import RunRecord

# A record, or a part of one, as JSON values.
JsonObject = dict[str, Any]

# What figures show through training; the training loss of every step is left out.
_KEPT = ("validation/", "geometry/", "rank/")

_MARKS = ("validation/", "geometry/")

_DIGITS = 6


def lean(record: RunRecord) -> JsonObject:
    """Return a record as plain values, its history cut to its evaluations and laid in columns.

    Metrics of the history keep six digits and lose their times; all else is kept as it is.
    """
    values = record.model_dump(mode="json")
    points = [p for p in record.history if any(k.startswith(_MARKS) for k in p.metrics)]
    names = dict.fromkeys(k for p in points for k in p.metrics if k.startswith(_KEPT))
    values["history"] = {
        "step": [point.step for point in points],
        "metrics": {
            name: [_rounded(point.metrics.get(name)) for point in points] for name in names
        },
    }
    values["rank_pattern"] = {
        "modules": list(record.rank_pattern),
        "ranks": list(record.rank_pattern.values()),
    }
    return values


def shared(records: Sequence[JsonObject]) -> JsonObject:
    """Return what the others are compared with: the first record, or nothing of no records."""
    return copy.deepcopy(records[0]) if records else {}


def without_shared(record: JsonObject, common: JsonObject) -> JsonObject:
    """Return what a record has of its own.

    Returns:
        ``own``: values that differ or are new, nested as they were; ``lacks``: the paths of keys
        that the shared one has and this one has not.
    """
    own, missing = _apart(record, common, ())
    return {"own": own, "lacks": missing} if missing else {"own": own}


def rebuilt(line: JsonObject, common: JsonObject) -> RunRecord:
    """Return the record that a line of ``without_shared`` was made from, its history cut.

    What is left of the history has the time at which the run ended.
    """
    fields = copy.deepcopy(common)
    for *path, last in line.get("lacks", []):
        place = fields
        for key in path:
            place = place[key]
        del place[last]
    _lay_over(fields, line["own"])
    history, pattern = fields["history"], fields["rank_pattern"]
    fields["history"] = [
        {
            "step": step,
            "time_ms": fields.get("ended_ms") or fields.get("started_ms") or 0,
            "metrics": {
                name: values[place]
                for name, values in history["metrics"].items()
                if values[place] is not None
            },
        }
        for place, step in enumerate(history["step"])
    ]
    fields["rank_pattern"] = dict(zip(pattern["modules"], pattern["ranks"], strict=True))
    return RunRecord.model_validate(fields)


def _apart(
    record: JsonObject, common: JsonObject, path: tuple[str, ...]
) -> tuple[JsonObject, list[list[str]]]:
    own: JsonObject = {}
    lacks = [[*path, key] for key in common if key not in record]
    for key, value in record.items():
        theirs = common.get(key)
        if key in common and isinstance(value, dict) and isinstance(theirs, dict):
            inner, missing = _apart(value, theirs, (*path, key))
            lacks += missing
            if inner:
                own[key] = inner
        elif key not in common or value != theirs:
            own[key] = value
    return own, lacks


def _lay_over(values: JsonObject, own: Mapping[str, Any]) -> None:
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _lay_over(values[key], value)
        else:
            values[key] = value


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
