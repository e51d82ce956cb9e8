from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora2_search.verification.measurements import Measurements, from_json, to_json
from lora2_search.verification.measuring import measure
from lora2_search.verification.plan import CHECKS, Part, Plan

# The layout of the files, as earlier versions wrote them.
STORED = {
    "start": {"gaussian, k=1, r=1": 0.0, "svd, k=1, r=1": 0.5, "differs": 2.0, "sentences": 32},
    "planes": {
        "points": [
            {
                "step": 0,
                "overlap": 0.25,
                "with_increment": None,
                "angle": 0.0,
                "contrast": 89.0,
                "error_outer": 2.0,
                "error_inner": 2.5,
            }
        ],
        "flips": {"increment": 0.0, "mean": 0.1, "largest": 0.2, "flips": 8},
    },
    "score": {"metric": "f1", "score": 0.5, "majority": 0.4, "kept_rank": 8},
}


def test_a_file_of_before_is_read_and_written_as_it_is() -> None:
    found = from_json(STORED)
    assert found.start is not None and found.planes is not None
    assert found.start.differences == {"gaussian, k=1, r=1": 0.0, "svd, k=1, r=1": 0.5}
    assert found.planes.points[0].errors == {"outer": 2.0, "inner": 2.5}
    assert json.loads(json.dumps(to_json(found))) == STORED
    diverged = {"diverged": "the loss is no longer finite", "majority": 0.5}
    assert to_json(from_json(diverged)) == diverged


def test_whatever_is_measured_is_read_back_as_it_was(plan: Plan, tmp_path: Path) -> None:
    probes = ("planes", "score", "agreement", "truth", "merge", "compress", "growth")
    assert {probe for pairs in CHECKS.values() for _, probe in pairs} == {*probes, "start"}
    for part in (Part("pruned", 100, probes), Part("start", 100, ("start",))):
        found = measure(plan, part)
        part.write(tmp_path, found)
        assert part.read(tmp_path) == found


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"merge": {}}, "merge.sentences: Field required"),
        ({"score": STORED["score"] | {"score": "high"}}, "score.score: Input should be a valid"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(values: dict, message: str, tmp_path: Path) -> None:
    part = Part("pruned", 3, ("merge",))
    part.path(tmp_path).parent.mkdir()
    part.path(tmp_path).write_text(json.dumps(values))
    assert part.read(tmp_path) is None
    assert message in (part.damage(tmp_path) or "")
    part.write(tmp_path, Measurements(diverged="why", majority=0.5))
    assert part.damage(tmp_path) is None
