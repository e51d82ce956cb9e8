"""Predictions example by example: confusion, and where two arms disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..config import RunConfig
from ..errors import UserError
from ..stats import CORRELATIONS
from ..store import PREDICTIONS_FILE, Damaged, home, stored_json
from .contrasts import common_predictions
from .records import TEST, Run, SuiteRuns, Values
from .scores import Scored

Mistakes = Counter[tuple[int, int]]


def mistake_counts(
    suite: SuiteRuns, scores: Mapping[tuple[str, int], Scored], arm: str
) -> tuple[Mistakes, int]:
    """Return the mistakes of an arm over its runs, and how many runs there are."""
    mistakes: Mistakes = Counter()
    runs = 0
    for seed in suite.seeds:
        scored = scores.get((arm, seed))
        if scored is None or scored.predictions is None or scored.diverged:
            continue
        runs += 1
        answers = scored.predictions
        wrong = (answers.labels != answers.predictions) & np.isfinite(answers.predictions)
        pairs = zip(answers.labels[wrong], answers.predictions[wrong], strict=True)
        mistakes.update((int(label), int(predicted)) for label, predicted in pairs)
    return mistakes, runs


def class_names(suite: SuiteRuns) -> list[str]:
    """Return the names of the classes, by number; none for numbers, and in records of old."""
    return next((run.record.classes for run in suite.runs.values() if run.record.classes), [])


def named(names: list[str], number: int) -> str:
    """Return a class' name, or its number where it has none."""
    return names[number] if 0 <= number < len(names) else str(number)


# Texts that lie beside the records, so that a reader needs no data set to see the same page.
EXAMPLES_FILE = "examples.json"

_LONGEST = 160

_REMEDY = (
    "restore it from a copy, or delete it: the texts are then read from the data, if it is here"
)

Texts = Mapping[int, str]


@dataclass(frozen=True)
class Disagreement:
    """One test example and how often each arm is right about it.

    Attributes:
        example: Its number within the test split.
        label: Its class number, or its value.
        ours: Seeds with which the arm is right; for numbers, minus the mean absolute error.
        theirs: The same of the reference.
        seeds: Seeds that both arms have.
    """

    example: int
    label: float
    ours: float
    theirs: float
    seeds: int


def disagreements(
    suite: SuiteRuns,
    scores: Mapping[tuple[str, int], Scored],
    arm: str,
    reference: str,
    shown: int = 5,
) -> list[Disagreement]:
    """Return the examples that one arm gets right and the other wrong over most seeds.

    Those that the arm is better on come first, then those that the reference is better on, at most
    ``shown`` of each, the widest apart first. Empty where the two share no predictions.
    """
    common = common_predictions(scores, (arm, reference), suite.seeds)
    if isinstance(common, str):
        return []
    ours, theirs = common.answers[arm], common.answers[reference]
    numbers = suite.metric in CORRELATIONS
    return widest_apart(common.examples, common.labels, ours, theirs, numbers, shown)


def widest_apart(
    examples: NDArray[np.int64],
    labels: Values,
    ours: Values,
    theirs: Values,
    numbers: bool,
    shown: int,
) -> list[Disagreement]:
    """Return the examples on which two sets of answers differ most, at most ``shown`` each way.

    Args:
        examples: Their numbers, ``[E]``.
        labels: The right answers, ``[E]``.
        ours: The answers of one, by seed, ``[S, E]``.
        theirs: Those of the other, of the same seeds, ``[S, E]``.
        numbers: Whether labels are numbers, not classes.
        shown: How many each way.
    """
    seeds = len(ours)
    if numbers:
        mine, other = (-np.abs(values - labels).mean(axis=0) for values in (ours, theirs))
    else:
        mine, other = ((values == labels).sum(axis=0).astype(float) for values in (ours, theirs))
    difference = mine - other  # [E]
    # Values are never quite the same: what is less than 2 % of the labels' spread is no difference.
    least = 0.02 * float(labels.std()) if numbers else 0.0
    indices = []
    for sign in (1, -1):
        order = np.argsort(-sign * difference, kind="stable")[:shown]
        indices += [int(index) for index in order if sign * difference[index] > least]
    return [
        Disagreement(int(examples[i]), float(labels[i]), float(mine[i]), float(other[i]), seeds)
        for i in indices
    ]


@dataclass(frozen=True)
class Generated:
    """What a language model wrote after a prompt.

    Attributes:
        prompt: What it read.
        answer: What is right.
        generated: What it wrote.
        right: Whether that counts as right.
        example: Its number within the split.
    """

    prompt: str
    answer: str
    generated: str
    right: bool
    example: int


# A seed, and what its run wrote.
Written = tuple[int, list[Generated]]


def written_by(suite: SuiteRuns, arm: str) -> Written | None:
    """Return what an arm wrote on the test split, and with which seed: the first that has texts.

    ``None`` where none has: nothing was generated, or an archive holds the verdicts alone.
    """
    for seed in suite.seeds:
        run = suite.runs.get((arm, seed))
        if run is not None and (written := generated_texts(run, TEST, None)):
            return seed, written
    return None


def generated_texts(run: Run, split: str, shown: int | None = 8) -> list[Generated]:
    """Return the first answers that a run generated on a split; none where it generated nothing.

    Args:
        run: The run.
        split: Its name.
        shown: At most so many; ``None`` for all.
    """
    import pyarrow.parquet as parquet

    columns = ["split", "example", "prediction", "prompt", "answer", "generated"]
    path = run.folder / PREDICTIONS_FILE
    if not run.record.example or not path.exists():
        return []
    try:
        table = parquet.read_table(path, columns=columns).to_pylist()
    except (OSError, ValueError):  # other columns: options to choose from; damage is told elsewhere
        return []
    rows = sorted((row for row in table if row["split"] == split), key=lambda row: row["example"])
    return [
        Generated(
            row["prompt"],
            row["answer"],
            row["generated"],
            right=row["prediction"] == 1,
            example=row["example"],
        )
        for row in rows[:shown]
    ]


def example_texts(suite: SuiteRuns) -> Texts:
    """Return the texts of the test examples by number, or nothing where they cannot be had.

    They are read from ``examples.json`` in the suite's folder, else from the data set itself, if
    it is on this machine and still the one that was trained on; nothing is fetched.
    """
    stored = suite.folder / EXAMPLES_FILE
    if stored.exists():
        return stored_texts(stored).get(suite.task, {})
    run = next((run for run in suite.runs.values() if run.record.data_hash), None)
    return {} if run is None else texts_of(run)


def texts_of(run: Run) -> Texts:
    """Return the texts of a run's test examples by number, as `example_texts` reads the data set.

    Nothing where that is not here, or no longer the one that the run was tested on.
    """
    if not run.record.data_hash or not _is_here(run.record.config):
        return {}
    from ..training import load_data

    try:
        data = load_data(RunConfig.model_validate(run.record.config))
    except (UserError, ValueError):
        return {}
    if data.hash != run.record.data_hash:
        return {}
    pairs = zip(*data.splits["test"].texts, strict=True)
    return {number: _short(" ‖ ".join(parts)) for number, parts in enumerate(pairs)}


def stored_texts(path: Path) -> Mapping[str, Texts]:
    """Read ``examples.json``: by task, the texts of examples by number; nothing where it is not.

    Raises:
        Damaged: It holds something else.
    """
    by_task = stored_json(path, _REMEDY) or {}
    for task, texts in by_task.items():
        of = f"of task {task!r} " if task else ""
        if not isinstance(texts, dict):
            raise Damaged(path, f"{of}it must hold texts by number, but got {texts!r:.80}", _REMEDY)
        for number, text in texts.items():
            if not (number.isascii() and number.isdecimal() and isinstance(text, str)):
                what = f"{of}it must hold texts by number, but got {number!r:.80}: {text!r:.80}"
                raise Damaged(path, what, _REMEDY)
    return {
        task: {int(number): text for number, text in of.items()} for task, of in by_task.items()
    }


def _is_here(config: Mapping[str, object]) -> bool:
    """Whether a data set can be read without asking a network for it."""
    from ..training import TASK_ASSETS

    data = config.get("data")
    path = data.get("path") if isinstance(data, dict) else None
    if path:
        return Path(str(path)).expanduser().exists()
    asset = TASK_ASSETS.get(str(config.get("task")))
    return asset is not None and (home() / "assets" / asset).is_dir()


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
