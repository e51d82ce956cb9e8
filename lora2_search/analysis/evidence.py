"""All that a suite's report is made of."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import mean

from ..config.suite import BASE
from ..store import TUNING_FOLDER, RunRecord, read_record
from .comparison import Analysis, analyse_tasks
from .examples import Disagreement, Texts, Written, disagreements, example_texts, written_by
from .published import Published, published_on, read_published


def flag_names(record: RunRecord | None) -> str:
    """Return the names of a run's flags, empty without any."""
    return ", ".join(flag.name for flag in record.flags) if record else ""


def flag_counts(records: Iterable[RunRecord]) -> str:
    """Return how many of several runs have each flag: ``gradient 2, memory 1``, or nothing."""
    counts = Counter(flag.name for record in records for flag in record.flags)
    return ", ".join(f"{name} {count}" for name, count in counts.items())


_NAME = re.compile(r"^(?P<arm>.+)-(?P<trial>\d+)-seed(?P<seed>\d+)$")


@dataclass(frozen=True)
class Tuning:
    """Tuning runs by arm, trial and seed.

    Attributes:
        runs: Their records.
    """

    runs: Mapping[tuple[str, int, int], RunRecord]

    @property
    def records(self) -> list[RunRecord]:
        """All records, whatever became of the runs."""
        return list(self.runs.values())

    def trial_scores(self, metric: str) -> dict[str, list[float]]:
        """Return, by arm, the mean validation score over seeds of each trial, by its number.

        A trial counts as it does for the choice: only with every seed completed.
        """
        seeds = {seed for _, _, seed in self.runs}
        by_arm: dict[str, dict[int, list[float]]] = {}
        for (arm, trial, _), record in sorted(self.runs.items()):
            score = record.score("validation", metric) if record.status == "completed" else None
            trials = by_arm.setdefault(arm, {})
            if score is not None and math.isfinite(score):
                trials.setdefault(trial, []).append(score)
        means = {
            arm: [mean(scores) for _, scores in sorted(trials.items()) if len(scores) == len(seeds)]
            for arm, trials in by_arm.items()
        }
        return {arm: scores for arm, scores in means.items() if scores}

    def trials(self, arm: str) -> int:
        """How many trials of an arm were run, whatever became of them."""
        return len({trial for name, trial, _ in self.runs if name == arm})


def read_tuning(folder: Path) -> Tuning:
    """Read the tuning runs of a suite's folder; none where there are none, or none is readable."""
    runs = {}
    for path in sorted((folder / TUNING_FOLDER).glob("*")):
        named = _NAME.match(path.name)
        try:
            record = read_record(path) if named else None
        except ValueError:
            continue
        if named and record is not None:
            runs[named["arm"], int(named["trial"]), int(named["seed"])] = record
    return Tuning(runs)


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

    @cached_property
    def written(self) -> dict[str, Written]:
        """What arms of a language model wrote on the test split; none of those that left no texts.

        Of the floor, and of the arms in `disagreements`: the base, and what it is compared with.
        """
        suite = self.analysis.suite
        if not suite.plan.is_language:
            return {}
        shown = {BASE, suite.floor}.union(*suite.comparisons[:_COMPARED])
        found = {arm: written_by(suite, arm) for arm in suite.arms if arm in shown}
        return {arm: written for arm, written in found.items() if written is not None}

    @property
    def records(self) -> list[RunRecord]:
        """The records of all its runs, whatever became of them."""
        return [run.record for run in self.analysis.suite.runs.values()]


def gather(folder: Path, analyses: Mapping[str, Analysis] | None = None) -> dict[str, Evidence]:
    """Read and analyse a suite's folder, by task; ``{"": ...}`` when it names none.

    Args:
        folder: The suite's folder.
        analyses: Its analyses, where they have been made.

    Raises:
        UserError: The folder holds no suite, or its ``published.csv`` is wrong.
    """
    analyses = analyse_tasks(folder) if analyses is None else analyses
    arms = next(iter(analyses.values())).suite.arms
    published = read_published(folder, arms, analyses)
    tuning = read_tuning(folder)
    return {
        task: Evidence(analysis, published_on(published, task), tuning)
        for task, analysis in analyses.items()
    }
