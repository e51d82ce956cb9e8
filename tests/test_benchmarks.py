"""The page of benchmarks says which targets were missed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import target

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
