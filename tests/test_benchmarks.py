"""The page of benchmarks says which targets were missed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import target
from benchmarks.scale import alone

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


@pytest.mark.parametrize(
    ("value", "wanted", "shown"),
    [
        ("1.002 (965.15 / 962.94 ms)", "<= 1.03", "<= 1.03"),
        ("15.6 s", "<= 15 s", "<= 15 s: **missed**"),
        ("0.905", ">= 0.95", ">= 0.95: **missed**"),
        ("0.03%", "<= 1 %", "<= 1 %"),
        ("2.23", "", ""),
    ],
)
def test_a_missed_target_is_marked(value: str, wanted: str, shown: str) -> None:
    assert target(value, wanted) == shown


def test_the_page_marks_every_missed_target() -> None:
    rows = re.findall(r"(?m)^\| .* \| (.*) \| ([<>]= .*) \|$", PAGE.read_text(encoding="utf-8"))
    assert len(rows) > 5
    for value, shown in rows:
        assert target(value, shown.removesuffix(": **missed**")) == shown


@pytest.mark.parametrize("shared", [False, True])
def test_what_a_driver_does_for_trials_under_way_is_measured(shared: bool) -> None:
    begun, first, second, ended = alone(3, shared)
    assert [row[2] for row in (begun, first, second, ended)] == ["", ">= 200", ">= 200", ""]
    assert all(re.match(r"[\d,]+ a second", row[1]) for row in (begun, first, second, ended))


@pytest.mark.long
def test_every_check_for_a_gpu_can_run(tmp_path: Path) -> None:
    script = PAGE.parents[1] / "benchmarks" / "gpu.sh"
    out = tmp_path / "rows.jsonl"
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run([script, "--dry-run", "--out", out], check=True, env=environment)
    rows = {row["what"]: row for row in map(json.loads, out.read_text().splitlines())}
    assert rows["whole LoRA² step / PEFT LoRA step, 4 x 16"]["ratio"] > 0
    assert rows["one run, mixed_precision bf16"]["flags"] == []
    killed = rows["kill -9 and resume against uninterrupted"]
    assert killed["killed before its end"] and killed["equal scores"]
    assert killed["largest difference of a loss"] == 0
    nf4 = rows["nf4, steps on one batch"]
    assert nf4["last loss"] < nf4["first loss"]
    shared = rows["tune, two trials on one device"]
    assert (shared["completed"], shared["at once"]) == (3, 2)
