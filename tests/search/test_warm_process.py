from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lora2_search.observer import RunInfo
from lora2_search.search.space import Resources
from lora2_search.training.record import read_record

from ..training.test_run import comparable, settings
from .test_engine import run_all

VARIANTS: dict[str, dict[str, Any]] = {
    "lora": {"method": "lora"},
    "head-only": {"method": "head-only"},
    "crashed": {"training.lr": 1e30, "training.max_grad_norm": None},
    "last": {},
}


@pytest.mark.slow
def test_a_trial_in_a_process_that_ran_others_equals_the_same_trial_in_a_fresh_one(
    tmp_path: Path, ray_here: None, tiny_bert: Path, reviews_csv: Path
) -> None:
    def execute(place: str, names: list[str]) -> list[Path]:
        root = tmp_path / place
        root.mkdir()
        listed = [
            RunInfo(name, name, settings(tiny_bert, reviews_csv, **VARIANTS[name]), {}, root / name)
            for name in names
        ]
        run_all(listed, root, resources=Resources(concurrent=1))
        return [run.folder for run in listed]

    used, (fresh,) = execute("used", list(VARIANTS)), execute("fresh", ["last"])
    states = [record.status for folder in used if (record := read_record(folder))]
    assert states == ["completed", "completed", "failed", "completed"]
    assert len({_pid(folder) for folder in used}) == 1
    assert _pid(fresh) != _pid(used[0])
    assert comparable(used[-1]) == comparable(fresh)
    for folder in (used[-1], fresh):
        record = read_record(folder)
        assert record is not None
        assert record.threads == 1


def _pid(folder: Path) -> int:
    return int(json.loads((folder / "attempt.json").read_text())["pid"])
