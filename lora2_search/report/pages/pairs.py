"""Two studies, or two suites, on one page: the comparison at the top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...analysis import (
    Analysis,
    Evidence,
    StudyPair,
    compare_studies,
    compare_suites,
    read_study_table,
    trial_history,
)
from ...errors import UserError
from ...store import PAGE_FILE, write_text
from ..archive.archive import suite_evidence
from ..figures.forest import Forest, forest
from ..figures.pairs import draw_arm_pairs, draw_histories
from ..figures.panel import Panel
from ..figures.study_numbers import StudyNumbers
from ..rendering import render
from ..tables.pairs import arm_pairs_table, best_table, settings_table
from ..tables.table import Table
from ..tables.text import interval, level, signed
from ..tables.trials import history_table
from ..words.verdict import headline
from .study import study_sections
from .suite import about_forest


@dataclass(frozen=True)
class _Part:
    """One part of a comparison: a heading, what it says, a figure, a table under it."""

    title: str
    text: str
    panel: Panel | None
    label: str
    table: Table


@dataclass(frozen=True)
class _Verdict:
    """What one of two suites says on a task, as its own page does."""

    name: str
    sure: bool
    headline: str
    about: str
    forest: Forest


def write_study_comparison(left: Path, right: Path, out: Path) -> Path:
    """Write two studies on one page and return its path.

    Args:
        left: Folder of the one study.
        right: Folder of the other.
        out: Where to write.

    Raises:
        UserError: A folder holds no study, or they maximise different metrics.
    """
    found = compare_studies(read_study_table(left), read_study_table(right))
    names = [study.runs.space.name for study in found.both]
    page = render(
        "pairs.html",
        title=f"{names[0]} against {names[1]}",
        verdicts=[],
        cards=_cards(found),
        parts=[_best(found), _history(found), _settings(found)],
        studies=[study_sections(StudyNumbers(study)) for study in found.both],
        links=[],
    )
    return _written(page, out, names[1])


def _cards(found: StudyPair) -> list[tuple[str, str]]:
    metric = found.left.metric
    shown = []
    for study, row in zip(found.both, found.winners, strict=True):
        value = row.test.estimate if row else None
        shown.append((level(value, metric), f"{study.runs.space.name}, winner's test score"))
    gap = found.gap
    names = " − ".join(study.runs.space.name for study in found.both)
    if gap.low is None or gap.high is None:
        return [*shown, (signed(gap.estimate, metric), f"{names}: {gap.note}")]
    sure = "" if gap.low > 0 or gap.high < 0 else "; not shown to differ"
    text = f"{names}, the same sentences (95 %: {interval(gap.low, gap.high, metric)}{sure})"
    return [*shown, (signed(gap.estimate, metric), text)]


def _best(found: StudyPair) -> _Part:
    text = (
        "Intervals are over new test sentences, for these two trained models; each was trained "
        "with one seed, so they do not say what another seed would give."
    )
    return _Part("Best scores", text, None, "Best scores of both studies", best_table(found))


def _history(found: StudyPair) -> _Part:
    histories = {
        f"{study.runs.space.name}{mark}": trial_history(study.trials)
        for study, mark in zip(found.both, _marks(found), strict=True)
    }
    drawn = draw_histories(histories, found.left.metric)
    text = f"The best validation {found.left.shown_metric} so far, and every complete trial."
    first = next(iter(histories.values()))
    panel = Panel("Histories", text, drawn, history_table(first, found.left.metric))
    return _Part("Histories", text, panel, "", Table(()))


def _marks(found: StudyPair) -> tuple[str, str]:
    same = found.left.runs.space.name == found.right.runs.space.name
    return (" (1)", " (2)") if same else ("", "")


def _settings(found: StudyPair) -> _Part:
    names = (found.left.runs.space.name, found.right.runs.space.name)
    text = "What either study searched, and the fixed settings in which the winners differ."
    table = settings_table(found, names)
    return _Part("Settings of both winners", text, None, "Settings of both winners", table)


def write_suite_comparison(left: Path, right: Path, out: Path) -> Path:
    """Write two suites on one page and return its path.

    Args:
        left: Folder of the one suite, or its archive.
        right: Folder of the other, likewise.
        out: Where to write.

    Raises:
        UserError: A folder holds no suite, they share no task, or they compare different metrics.
    """
    with suite_evidence(left) as one, suite_evidence(right) as other:
        page, name = _suites_page((one, other), (left, right))
    return _written(page, out, name)


def _suites_page(
    sides: tuple[Mapping[str, Evidence], Mapping[str, Evidence]], folders: tuple[Path, Path]
) -> tuple[str, str]:
    """Return the page, and the name of the other suite."""
    tasks = [task for task in sides[0] if task in sides[1]]
    names = tuple(next(iter(side.values())).analysis.suite.name for side in sides)
    if not tasks:
        raise UserError(
            f"{names[0]} runs on {', '.join(sides[0])} and {names[1]} on {', '.join(sides[1])}: "
            "they share no task"
        )
    page = render(
        "pairs.html",
        title=f"Suite {names[0]} against suite {names[1]}",
        verdicts=[_verdict(task, item.analysis) for side in sides for task, item in side.items()],
        cards=[],
        parts=[
            _arms(task, sides[0][task].analysis, sides[1][task].analysis, (names[0], names[1]))
            for task in tasks
        ],
        studies=[],
        links=[str(folder / PAGE_FILE) for folder in folders],
    )
    return page, names[1]


def _verdict(task: str, analysis: Analysis) -> _Verdict:
    name = f"{analysis.suite.name}{f', {task}' if task else ''}"
    sure, words = analysis.gives_verdicts, headline(analysis)
    return _Verdict(name, sure, words, about_forest(analysis), forest(analysis))


def _arms(task: str, left: Analysis, right: Analysis, names: tuple[str, str]) -> _Part:
    metric, pairs = left.suite.metric, compare_suites(left, right)
    text = (
        "Mean test scores over seeds with 95 % t intervals. Differences are paired by the seeds "
        "that both suites ran, and not corrected for their number."
    )
    title = f"Arms on {task}" if task else "Arms"
    table = arm_pairs_table(pairs, names, metric, left.suite.shown_metric)
    panel = Panel(title, text, draw_arm_pairs(pairs, names, metric))
    return _Part(title, text, panel, title, table)


def _written(page: str, out: Path, other: str) -> Path:
    path = out / f"compared-with-{other}.html"
    write_text(path, page)
    return path
