"""Two studies, or two suites, on one page: the comparison at the top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from ..figures.panel import Panel, drawn_keys
from ..figures.study_numbers import StudyNumbers
from ..rendering import render
from ..tables.pairs import arm_pairs_table, best_table, histories_table, settings_table
from ..tables.table import Table
from ..tables.text import level, signed
from ..words.pairs import Names, difference_line, scores_line, told_apart, winner_lines
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
    names = told_apart(found.left.space.name, found.right.space.name)
    page = render(
        "pairs.html",
        title=f"{names[0]} against {names[1]}",
        verdicts=[],
        cards=_cards(found, names),
        parts=[_best(found, names), _history(found, names), _settings(found, names)],
        studies=[
            replace(study_sections(StudyNumbers(study)), title=name)
            for study, name in zip(found.both, names, strict=True)
        ],
        links=[],
    )
    return _written(page, out, found.right.space.name)


def _cards(found: StudyPair, names: Names) -> list[tuple[str, str]]:
    metric = found.left.metric
    values = [level(row.test.estimate if row else None, metric) for row in found.winners]
    return [
        *zip(values, winner_lines(found, names), strict=True),
        (signed(found.gap.estimate, metric), difference_line(found, names)),
    ]


def _best(found: StudyPair, names: Names) -> _Part:
    table = best_table(found, names)
    text = scores_line(found, names)
    return _Part("Best scores", text, None, "Best scores of both studies", table)


def _history(found: StudyPair, names: Names) -> _Part:
    histories = {
        name: trial_history(study.trials) for name, study in zip(names, found.both, strict=True)
    }
    metric = found.left.metric
    drawn = draw_histories(histories, metric)
    text = f"The best validation {found.left.shown_metric} so far, and every complete trial."
    table = histories_table(histories, metric)
    panel = Panel("Histories", text, drawn, table, drawn_keys(drawn))
    return _Part("Histories", text, panel, "", Table(()))


def _settings(found: StudyPair, names: Names) -> _Part:
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
    ours, theirs = (next(iter(side.values())).analysis.suite.name for side in sides)
    names = told_apart(ours, theirs)
    if not tasks:
        raise UserError(
            f"{names[0]} runs on {', '.join(sides[0])} and {names[1]} on {', '.join(sides[1])}: "
            "they share no task"
        )
    page = render(
        "pairs.html",
        title=f"Suite {names[0]} against suite {names[1]}",
        verdicts=[
            _verdict(f"{name}{task and f', {task}'}", item.analysis)
            for name, side in zip(names, sides, strict=True)
            for task, item in side.items()
        ],
        cards=[],
        parts=[
            _arms(task, sides[0][task].analysis, sides[1][task].analysis, names) for task in tasks
        ],
        studies=[],
        links=[str(folder / PAGE_FILE) for folder in folders],
    )
    return page, theirs


def _verdict(name: str, analysis: Analysis) -> _Verdict:
    sure, words = analysis.gives_verdicts, headline(analysis)
    return _Verdict(name, sure, words, about_forest(analysis), forest(analysis))


def _arms(task: str, left: Analysis, right: Analysis, names: Names) -> _Part:
    metric, pairs = left.suite.metric, compare_suites(left, right)
    text = (
        "Mean test scores over seeds with 95 % t intervals. Differences are paired by the seeds "
        "that both suites ran, and not corrected for their number."
    )
    title = f"Arms on {task}" if task else "Arms"
    table = arm_pairs_table(pairs, names, metric, left.suite.shown_metric)
    drawn = draw_arm_pairs(pairs, names, metric)
    panel = Panel(title, text, drawn, keys=drawn_keys(drawn))
    return _Part(title, text, panel, title, table)


def _written(page: str, out: Path, other: str) -> Path:
    path = out / f"compared-with-{other}.html"
    write_text(path, page)
    return path
