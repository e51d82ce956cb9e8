"""Tasks: which columns hold the text, what the label is, and which metrics count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["classification", "regression"]


@dataclass(frozen=True)
class Task:
    """What a data set asks for.

    Attributes:
        text: Names of the one or two text columns.
        label: Name of the label column.
        kind: Classes or numbers.
        metrics: Names in ``METRICS``, the primary one first; higher is better for all.
        extra_test: Further test sets of the data set, by split name (MNLI's mismatched).
    """

    text: tuple[str, ...]
    label: str
    kind: Kind
    metrics: tuple[str, ...]
    extra_test: tuple[str, ...] = ()


_PAIR = ("sentence1", "sentence2")

TASKS: dict[str, Task] = {
    "cola": Task(("sentence",), "label", "classification", ("matthews",)),
    "mnli": Task(
        ("premise", "hypothesis"), "label", "classification", ("accuracy",), ("test_mismatched",)
    ),
    "mrpc": Task(_PAIR, "label", "classification", ("accuracy", "f1")),
    "qnli": Task(("question", "sentence"), "label", "classification", ("accuracy",)),
    "qqp": Task(("question1", "question2"), "label", "classification", ("accuracy", "f1")),
    "rte": Task(_PAIR, "label", "classification", ("accuracy",)),
    "sst2": Task(("sentence",), "label", "classification", ("accuracy",)),
    "stsb": Task(_PAIR, "label", "regression", ("pearson", "spearman")),
    "sentiment": Task(("text",), "label", "classification", ("accuracy",)),
    "ratings": Task(("text",), "rating", "regression", ("pearson", "spearman")),
    "boolq": Task(("question", "passage"), "label", "classification", ("accuracy",)),
}

CUSTOM_METRICS: dict[Kind, tuple[str, ...]] = {
    "classification": ("accuracy", "f1"),
    "regression": ("pearson", "spearman"),
}

Values = NDArray[np.float64]


def score(metric: str, labels: Values, predictions: Values, classes: int | None = None) -> float:
    """Return a metric of GLUE, higher is better.

    Args:
        metric: ``accuracy``, ``f1`` (of class 1 when there are two classes, else the mean over
            classes), ``matthews``, ``pearson`` or ``spearman``.
        classes: Number of classes of the task; told from labels and predictions when ``None``.
        labels: Class numbers or target values, ``[n]``.
        predictions: Predicted class numbers or values, ``[n]``.

    Returns:
        The value; 0 where a correlation is undefined because one side is constant, and NaN
        where a prediction is not finite.
    """
    if not np.isfinite(predictions).all():
        return float("nan")
    if metric == "f1" and (classes or 1 + max(labels.max(), predictions.max())) > 2:
        # Told by the task and not by the split: a rare class may be missing from one of them.
        metric = "macro-f1"
    return float(METRICS[metric](labels, predictions))


def _accuracy(labels: Values, predictions: Values) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(labels, predictions))


def _f1(average: Literal["binary", "macro"]) -> Callable[[Values, Values], float]:
    def mean(labels: Values, predictions: Values) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(labels, predictions, average=average, zero_division=0.0))

    return mean


def _matthews(labels: Values, predictions: Values) -> float:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels, predictions))


def _correlation(name: Literal["pearsonr", "spearmanr"]) -> Callable[[Values, Values], float]:
    def correlate(labels: Values, predictions: Values) -> float:
        from scipy import stats

        if np.ptp(labels) == 0 or np.ptp(predictions) == 0:
            return 0.0
        return float(getattr(stats, name)(labels, predictions).statistic)

    return correlate


METRICS: dict[str, Callable[[Values, Values], float]] = {
    "accuracy": _accuracy,
    "f1": _f1("binary"),
    "macro-f1": _f1("macro"),
    "matthews": _matthews,
    "pearson": _correlation("pearsonr"),
    "spearman": _correlation("spearmanr"),
}


def primary_metric(task: str, kind: Kind | None = None) -> str:
    """Return the primary metric of a task; ``kind`` decides for ``custom`` data."""
    if task in TASKS:
        return TASKS[task].metrics[0]
    return CUSTOM_METRICS[kind or "classification"][0]
