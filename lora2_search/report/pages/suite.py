"""One self-contained HTML page of a suite: no request leaves it, plotly stands in it once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...analysis import Evidence
from ..figures.panel import Panel
from ..figures.panels import geometry_panels, interaction_panels, suite_panels
from ..rendering import render
from ..tables.text import level, signed
from ..words.verdict import headline
from .sections import Section, common_sections, overall_sections, task_sections

_ABOUT_INTERACTIONS = (
    "Mean test score in each cell and its 95 % interval over seeds, averaged over the other "
    "factors. Lines that run side by side: the factors add up. Whether they do is told by the "
    "contrasts above, not by the eye."
)

_ABOUT_GEOMETRY = (
    "Mean over the complete runs of an arm, and the range over its seeds: how far each plane's "
    "factors are from orthogonal, and how much neighbouring planes overlap."
)


@dataclass(frozen=True)
class _Task:
    """One task of a suite, as its template shows it."""

    name: str
    sure: bool
    headline: str
    cards: list[tuple[str, str]]
    details: list[Section]
    forest: Panel
    interactions: list[Panel]
    numbers: list[Section]
    figures: list[Panel]
    geometry: list[Panel]
    others: list[Section]


def suite_page(evidence: Mapping[str, Evidence]) -> str:
    """Return the page as HTML.

    Args:
        evidence: What it is made from, by task; ``""`` for a suite that names none.
    """
    return render(
        "suite.html",
        title=next(iter(evidence.values())).analysis.suite.name,
        tasks=[_task(name, item) for name, item in evidence.items()],
        overall=overall_sections(evidence),
        common=common_sections(evidence),
        about_interactions=_ABOUT_INTERACTIONS,
        about_geometry=_ABOUT_GEOMETRY,
    )


def _task(name: str, item: Evidence) -> _Task:
    sections = task_sections(item)
    forest, *figures = suite_panels(item)
    # Kept ranks are drawn here, not written.
    tables = [part for part in sections if part.title not in ("", "Kept ranks")]
    numbers = [part.title for part in tables].index("Arms") + 1
    return _Task(
        name=name,
        sure=item.analysis.gives_verdicts,
        headline=headline(item.analysis),
        cards=_cards(item),
        details=[part for part in sections if not part.title],
        forest=forest,
        interactions=interaction_panels(item),
        numbers=tables[:numbers],
        figures=figures,
        geometry=geometry_panels(item),
        others=tables[numbers:],
    )


def _cards(item: Evidence) -> list[tuple[str, str]]:
    """The base beside head-only: whether there is anything to tell."""
    analysis = item.analysis
    metric, arms = analysis.suite.metric, {arm.name: arm for arm in analysis.arms}
    base = next(iter(arms.values()))
    seeds = len(analysis.suite.seeds)
    shown = [(level(base.mean, metric), f"base, mean test {analysis.suite.shown_metric}")]
    if analysis.floor is not None:
        floor = arms.get(str(analysis.suite.floor))
        shown.append((level(floor.mean if floor else None, metric), "head-only"))
        shown.append((signed(analysis.floor.paired.estimate, metric), "base − head-only"))
    done = sum(len(arm.scores) for arm in analysis.arms)
    shown.append((f"{done} of {len(arms) * seeds}", f"runs that count, {seeds} seeds an arm"))
    return shown
