"""Ticks of figures for papers: none runs into the next one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lora2_search.analysis.evidence import gather
from lora2_search.analysis.study import read_study_table
from lora2_search.report.figures.paper import write_figures
from lora2_search.report.figures.study import write_study_figures
from lora2_search.report.figures.study_numbers import StudyNumbers
from tests.report.test_study_page_numbers import trial
from tests.support.designs import crossed_suite
from tests.support.studies import write_trials
from tests.support.suites import draws, write_suite


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Return the texts of ticks that overlap, those aslant left out."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    found = []
    for axes in figure.axes:
        for side, low, high in ((axes.xaxis, "x0", "x1"), (axes.yaxis, "y0", "y1")):
            texts = [text for text in side.get_ticklabels() if text.get_text()]
            straight = [t for t in texts if t.get_visible() and t.get_rotation() in (0, 90)]
            within = sorted(side.get_view_interval())
            places = {id(t): t.get_position()[0 if low == "x0" else 1] for t in straight}
            shown = [t for t in straight if within[0] <= places[id(t)] <= within[1]]
            boxes = sorted(
                ((t.get_window_extent(canvas.get_renderer()), t.get_text()) for t in shown),
                key=lambda item: getattr(item[0], low),
            )
            for (box, text), (after, other) in zip(boxes, boxes[1:], strict=False):
                if getattr(box, high) > getattr(after, low):
                    found.append((text, other))
    return found


def drawn_by(monkeypatch: pytest.MonkeyPatch, write: Any) -> Sequence[Figure]:
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: figures.append(self))
    write()
    return figures


def test_no_tick_of_a_suites_figures_runs_into_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = {"long-name-of-a-level": {"adapter.gamma": 0.0}, "another-one": {}}
    planes = {"one-plane": {"adapter.k": []}, "two-planes": {}}
    plan = crossed_suite(factors={"planes": planes, "regularisation": levels})
    kept = {"trained_adapter": 1000, "kept_adapter": 900}
    counts = {arm: {**kept, "compressed_adapter": 300 * 9**n} for n, arm in enumerate(plan.arms)}
    special = {(arm, s): {"counts": counts[arm]} for arm in plan.arms for s in plan.seed_list}
    folder = write_suite(tmp_path, plan, draws(dict.fromkeys(plan.arms, 0.7), 60), special)
    figures = drawn_by(
        monkeypatch, lambda: write_figures(gather(folder), tmp_path / "figures", ["svg"])
    )
    assert len(figures) >= 5 and [pair for f in figures for pair in overlaps(f)] == []
    ticks = [text.get_text() for f in figures for text in f.axes[0].get_xticklabels()]
    assert {"1e3", "3e3", "1e4"} <= set(ticks)


def test_no_tick_of_a_studys_figures_runs_into_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = StudyNumbers(read_study_table(write_trials(tmp_path, [trial(n) for n in range(9)])))
    figures = drawn_by(monkeypatch, lambda: write_study_figures(found, tmp_path / "figures"))
    assert len(figures) >= 9 and [pair for f in figures for pair in overlaps(f)] == []
    ticks = [text.get_text() for f in figures for a in f.axes for text in a.get_xticklabels()]
    assert {"1e-3", "1e-2"} <= set(ticks)
