"""One self-contained HTML page of a suite: no request leaves it, plotly stands in it once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...analysis import Analysis, Arm, Evidence, effect_of, pruned_arms
from ..figures.axes import Scale, linear
from ..figures.forest import Forest, forest
from ..figures.panel import Panel
from ..figures.panels import geometry_panels, interaction_panels, pattern_of_arms, suite_panels
from ..rendering import render, slug
from ..tables.examples import rank_table
from ..tables.table import Table
from ..tables.text import changes, level
from ..words.verdict import Story, headline, stories
from .sections import (
    ARMS,
    KEPT_RANKS,
    PROBLEMS,
    Section,
    common_sections,
    overall_sections,
    task_sections,
)

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
class Strip:
    """The scores of an arm's seeds on the axis of all arms.

    Attributes:
        places: Where each seed stands, in per cent of the axis.
        mean: Where their mean stands.
        label: The same in words.
    """

    places: tuple[float, ...]
    mean: float
    label: str


@dataclass(frozen=True)
class _Task:
    """One task of a suite, as its template shows it."""

    name: str
    anchor: str
    of: str
    sure: bool
    headline: str
    forest: Forest
    about_forest: str
    stories: list[Story]
    problems: list[Section]
    arms: Section
    changes: list[str]
    strips: list[Strip]
    figures: list[Panel]
    interactions: list[Panel]
    geometry: list[Panel]
    ranks: dict[str, Table]
    highest: int
    sections: list[Section]


def suite_page(evidence: Mapping[str, Evidence], over_all: Sequence[Section] | None = None) -> str:
    """Return the page as HTML.

    Args:
        evidence: What it is made from, by task; ``""`` for a suite that names none.
        over_all: What holds over all tasks, where it has been computed.
    """
    return render(
        "suite.html",
        title=next(iter(evidence.values())).analysis.suite.name,
        tasks=[_task(name, item) for name, item in evidence.items()],
        overall=overall_sections(evidence) if over_all is None else over_all,
        common=common_sections(evidence),
        about_interactions=_ABOUT_INTERACTIONS,
        about_geometry=_ABOUT_GEOMETRY,
    )


def _task(name: str, item: Evidence) -> _Task:
    analysis = item.analysis
    # Comparisons stand on the page as stories, kept ranks as heat maps.
    sections = {part.title: part for part in task_sections(item)}
    apart = ("", ARMS, KEPT_RANKS, PROBLEMS)
    _, highest = pattern_of_arms(analysis.suite)
    return _Task(
        name=name,
        anchor=f"{slug(name)}-" if name else "",
        of=f" of {name}" if name else "",
        sure=analysis.gives_verdicts,
        headline=headline(analysis),
        forest=forest(analysis),
        about_forest=about_forest(analysis),
        stories=stories(analysis),
        problems=[part for title, part in sections.items() if title == PROBLEMS],
        arms=_arms(sections[ARMS]),
        changes=[changes(arm.changes) if arm.changes else "" for arm in analysis.arms],
        strips=_strips(analysis.arms, analysis.suite.metric),
        figures=suite_panels(item),
        interactions=interaction_panels(item),
        geometry=geometry_panels(item),
        ranks={arm: rank_table(found) for arm, found in pruned_arms(analysis.suite).items()},
        highest=highest,
        sections=[part for title, part in sections.items() if title not in apart],
    )


def _arms(section: Section) -> Section:
    """Return the section without what arms change, which stands beneath their names."""
    [(heading, table)] = section.tables
    keys = [column.key for column in table.columns if column.key != "changes"]
    return replace(section, tables=((heading, table.select(keys)),))


def about_forest(analysis: Analysis) -> str:
    """Return what a forest shows, and of how many runs."""
    seeds, metric = len(analysis.suite.seeds), analysis.suite.shown_metric
    done = sum(len(arm.scores) for arm in analysis.arms)
    text = (
        f"Difference in test {metric}, mean over seeds on this test set, with its 95 % interval "
        f"(not corrected); the words follow Holm's correction. {done} of "
        f"{len(analysis.arms) * seeds} runs count, {seeds} seeds per arm. Squares are shown to "
        "differ; blue dots are not, and may differ as far as their interval reaches; arrows lie "
        "beyond the axis."
    )
    if analysis.equivalence:
        text += (
            " Green bands are the margins within which two arms were to count as the same; green "
            "dots are shown to lie within (two one-sided tests, so by the 90 % interval). Where "
            "there is no band, that was not asked."
        )
    effects = (effect_of(item.weights, analysis.suite) for item in analysis.family)
    if any(effect is not None and len(effect.factors) > 1 for effect in effects):
        text += " Rows with × are interactions: what one change does to the effect of another."
    if analysis.floor is not None:
        text += (
            " The floor tells whether the base was trained enough; it is no finding, and its p is "
            "not corrected."
        )
    return text


def _strips(arms: Sequence[Arm], metric: str) -> list[Strip]:
    scale = linear(score for arm in arms for score in arm.scores.values())
    return [_strip(arm, scale, metric) for arm in arms]


def _strip(arm: Arm, scale: Scale, metric: str) -> Strip:
    found = list(arm.scores.values())
    if not found or arm.mean is None:
        return Strip((), 0.0, "")
    label = f"{len(found)} seeds, {level(min(found), metric)} to {level(max(found), metric)}"
    return Strip(tuple(map(scale.place, found)), scale.place(arm.mean), label)
