"""Everything that a report of one task is made from, gathered once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..training.record import RunRecord
from .comparison import Analysis, analyse_tasks
from .disagreement import Disagreement, Texts, disagreements, example_texts
from .published import Published, published_on, read_published
from .tuning import Tuning, read_tuning

# A report shows the examples of the first comparisons only: a suite may name dozens.
_COMPARED = 3


@dataclass(frozen=True)
class Evidence:
    """One task of a suite.

    Attributes:
        analysis: Its numbers.
        published: What others published, by (arm, metric).
        tuning: The runs that gave arms their settings, before the suite began.
        archived: Whether it was read from an archive, and not from a suite's own folder.
    """

    analysis: Analysis
    published: Mapping[tuple[str, str], Published] = field(default_factory=dict)
    tuning: Tuning = Tuning({})
    archived: bool = False

    @cached_property
    def texts(self) -> Texts:
        """Texts of the test examples by number; empty where they cannot be had."""
        return example_texts(self.analysis.suite)

    @cached_property
    def disagreements(self) -> dict[tuple[str, str], list[Disagreement]]:
        """For the first named comparisons, the examples on which both arms differ most."""
        suite = self.analysis.suite
        return {
            (arm, reference): disagreements(suite, self.analysis.scores, arm, reference)
            for arm, reference in suite.comparisons[:_COMPARED]
        }

    @property
    def records(self) -> list[RunRecord]:
        """The records of all its runs, whatever became of them."""
        return [run.record for run in self.analysis.suite.runs.values()]


def gather(folder: Path) -> dict[str, Evidence]:
    """Read and analyse a suite's folder, by task; ``{"": ...}`` when it names none.

    Raises:
        UserError: The folder holds no suite, or its ``published.csv`` is wrong.
    """
    analyses = analyse_tasks(folder)
    arms = next(iter(analyses.values())).suite.arms
    published = read_published(folder, arms, analyses)
    tuning = read_tuning(folder)
    return {
        task: Evidence(analysis, published_on(published, task), tuning)
        for task, analysis in analyses.items()
    }
