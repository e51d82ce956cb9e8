"""Tasks: which columns hold the text, what the label is, and which metrics count."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["classification", "regression", "generation", "choice"]

# Kinds whose model is a causal language model, with no head of its own.
LANGUAGE_KINDS: tuple[Kind, ...] = ("generation", "choice")


@dataclass(frozen=True)
class Task:
    """What a data set asks for.

    Attributes:
        text: Names of the one or two text columns; the prompt's, where text is generated.
        label: Name of the label column; the completion's, where text is generated.
        kind: Classes, numbers, or text to generate.
        metrics: What is measured; first the primary one, of which higher is better.
        extra_test: Further test sets of the data set, by split name (MNLI's mismatched).
        template: Jinja text that makes the text column of the columns of the data set, where they
            are others.
    """

    text: tuple[str, ...]
    label: str
    kind: Kind
    metrics: tuple[str, ...]
    extra_test: tuple[str, ...] = ()
    template: str | None = None


CUSTOM_METRICS: dict[Kind, tuple[str, ...]] = {
    "classification": (
        *("accuracy", "f1", "macro_f1", "balanced_accuracy"),
        *("roc_auc", "log_loss"),
    ),
    "regression": ("pearson", "spearman"),
    "generation": ("exact_match", "token_accuracy", "loss", "perplexity"),
    "choice": ("accuracy", "accuracy_norm"),
}

# A question, and one about a passage.
_QUESTION = "Question: {{ question | trim }}\nAnswer:"
_ON_PASSAGE = "{{ passage | trim }}\n" + _QUESTION

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
    "reviews": Task(
        ("prompt",),
        "completion",
        "generation",
        CUSTOM_METRICS["generation"],
        template="Review: {{ text | trim }}\nSentiment:",
    ),
    "boolq-generation": Task(
        ("prompt",),
        "completion",
        "generation",
        CUSTOM_METRICS["generation"],
        # As lm-evaluation-harness asks.
        template="{{ passage }}\nQuestion: {{ question }}?\nAnswer:",
    ),
    "metamath": Task(("query",), "response", "generation", CUSTOM_METRICS["generation"]),
    "commonsense": Task(
        ("prompt",), "answer", "choice", CUSTOM_METRICS["choice"], template=_QUESTION
    ),
    "siqa": Task(("prompt",), "answer", "choice", CUSTOM_METRICS["choice"], template=_ON_PASSAGE),
    "asdiv": Task(
        ("prompt",),
        "completion",
        "generation",
        CUSTOM_METRICS["generation"],
        template=_ON_PASSAGE,
    ),
}

# Tasks of classes whose answers are a language model's words in another task.
GENERATED = {"sentiment": "reviews", "boolq": "boolq-generation"}

# Made of what a model says of every class, not of its answers alone.
OF_LOGITS = ("roc_auc", "log_loss")

# Made of what a model says of every token, not of the answers that it generates.
OF_TOKENS = ("token_accuracy", "loss", "perplexity", "accuracy_norm")

# Lower is better: nothing is chosen by them.
LOWER_IS_BETTER = ("log_loss", "loss", "perplexity")

# Shares of the answers that are right.
_SHARES = ("accuracy", "exact_match")

# From -1 to 1; the others that are higher the better are shares.
_CORRELATIONS = ("matthews", "pearson", "spearman")

Values = NDArray[np.float64]


def metric_bounds(metric: str) -> tuple[float, float]:
    """Return the least and the greatest value that a metric can have."""
    if metric in LOWER_IS_BETTER:
        return 0.0, math.inf
    return (-1.0 if metric in _CORRELATIONS else 0.0), 1.0


def is_mean_over_examples(metric: str) -> bool:
    """Whether a metric is the share of answers that are right, which decides how it is tested."""
    return metric in _SHARES


def is_defined(metric: str, labels: Values, classes: int | None) -> bool:
    """Whether a metric has a value on a split; its labels alone decide.

    Correlations (``matthews`` is one) need labels that differ, ``roc_auc`` needs an example of
    every class, and the ``f1`` of two classes needs one of class 1. All others are defined on any
    labels.

    Args:
        metric: Its name.
        labels: Class numbers or target values, ``[n]``.
        classes: Number of classes of the task, ``None`` for numbers.
    """
    if metric == "f1" and classes == 2:
        return bool((labels == 1).any())
    if metric == "roc_auc":
        return len(np.unique(labels)) == classes
    if metric in _CORRELATIONS:
        return len(np.unique(labels)) > 1
    return True


def score(
    metric: str, labels: Values, predictions: Values, classes: int | None = None
) -> float | None:
    """Return a metric of GLUE, higher is better.

    Args:
        metric: ``accuracy``, ``f1`` (of class 1 when there are two classes, else the mean over
            classes), ``macro_f1`` (that mean), ``balanced_accuracy`` (the mean recall over
            classes), ``matthews``, ``pearson`` or ``spearman``.
        classes: Number of classes of the task; taken from labels and predictions when ``None``.
        labels: Class numbers or target values, ``[n]``.
        predictions: Predicted class numbers or values, ``[n]``.

    Returns:
        The value; ``None`` where the labels leave it undefined (see :func:`is_defined`), and NaN
        where a prediction is not finite. A correlation with constant predictions is 0.
    """
    finite = np.isfinite(predictions).all()
    if metric == "f1" and classes is None:
        classes = 1 + int(max(labels.max(), predictions.max() if finite else 1, 1))
    if not is_defined(metric, labels, classes):
        return None
    if not finite:
        return float("nan")
    if metric == "f1" and classes != 2:
        # Decided by the task and not by the split: a rare class may be missing from one of them.
        metric = "macro_f1"
    return float(METRICS[metric](labels, predictions))


def _accuracy(labels: Values, predictions: Values) -> float:
    return float(np.mean(labels == predictions))


def _f1(average: Literal["binary", "macro"]) -> Callable[[Values, Values], float]:
    def mean(labels: Values, predictions: Values) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(labels, predictions, average=average, zero_division=0.0))

    return mean


def _balanced_accuracy(labels: Values, predictions: Values) -> float:
    return float(np.mean([(predictions[labels == k] == k).mean() for k in np.unique(labels)]))


def _matthews(labels: Values, predictions: Values) -> float:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels, predictions))


def _correlation(name: Literal["pearsonr", "spearmanr"]) -> Callable[[Values, Values], float]:
    def correlate(labels: Values, predictions: Values) -> float:
        if np.ptp(predictions) == 0:
            return 0.0  # as Matthews' correlation has it: such answers tell nothing
        from scipy import stats

        return float(getattr(stats, name)(labels, predictions).statistic)

    return correlate


METRICS: dict[str, Callable[[Values, Values], float]] = {
    "accuracy": _accuracy,
    "f1": _f1("binary"),
    "macro_f1": _f1("macro"),
    "balanced_accuracy": _balanced_accuracy,
    "matthews": _matthews,
    "pearson": _correlation("pearsonr"),
    "spearman": _correlation("spearmanr"),
    # Label 1 is a right answer, and the prediction tells whether it was given.
    "exact_match": _accuracy,
}


def score_logits(metric: str, labels: Values, logits: NDArray[np.floating]) -> float | None:
    """Return a metric of what a model says of every class.

    Args:
        metric: ``roc_auc`` (of more than two classes the mean of each against the rest) or
            ``log_loss`` (mean of -ln p of the right class).
        labels: Class numbers, ``[n]``.
        logits: ``[n, classes]``.

    Returns:
        The value; ``None`` where the labels leave it undefined (see :func:`is_defined`), and NaN
        where a logit is not finite.
    """
    if not is_defined(metric, labels, logits.shape[1]):
        return None
    values = logits.astype(np.float64)
    if not np.isfinite(values).all():
        return float("nan")
    values = values - values.max(axis=1, keepdims=True)
    logs = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
    if metric == "log_loss":
        return float(-logs[np.arange(len(labels)), labels.astype(np.int64)].mean())
    return _roc_auc(labels, logs)


def _roc_auc(labels: Values, logs: Values) -> float:
    from sklearn.metrics import roc_auc_score

    if logs.shape[1] == 2:
        return float(roc_auc_score(labels == 1, logs[:, 1] - logs[:, 0]))
    each = [roc_auc_score(labels == k, logs[:, k]) for k in range(logs.shape[1])]
    return float(np.mean(each))


def constant_scores(
    metrics: tuple[str, ...], train: Values, labels: Values, classes: int | None
) -> dict[str, float]:
    """Return what the constant answer scores: the commonest class of train, or its mean.

    A metric that is undefined on these labels is left out, and so is a ``log_loss`` that would be
    infinite: that of a class which train does not show.

    Args:
        metrics: Names.
        train: Training labels, which tell the answer.
        labels: Labels of the split that is scored.
        classes: Number of classes, ``None`` for numbers.
    """
    if classes is None:
        answers = np.full_like(labels, train.mean())
        scores = {name: score(name, labels, answers) for name in metrics}
    else:
        shares = np.bincount(train.astype(np.int64), minlength=classes) / len(train)
        answers = np.full_like(labels, shares.argmax())
        # It says of every sentence how common each class is.
        logits = np.tile(np.log(np.maximum(shares, np.finfo(float).tiny)), (len(labels), 1))
        all_in_train = shares[labels.astype(np.int64)].all()
        scores = {
            name: score_logits(name, labels, logits)
            if name in OF_LOGITS
            else score(name, labels, answers, classes)
            for name in metrics
            if all_in_train or name != "log_loss"
        }
    return {name: value for name, value in scores.items() if value is not None}


def named_metric(metric: str, classes: Sequence[str]) -> str:
    """Return a metric's name with the class or the classes that it is of.

    Args:
        metric: Its name, ``f1`` or ``test/f1``.
        classes: Names of the classes; none for numbers, and in records that tell none.
    """
    if metric.rpartition("/")[2] != "f1" or len(classes) < 2:
        return metric
    of = f"positive: {classes[1]}" if len(classes) == 2 else f"mean over {len(classes)} classes"
    return f"{metric} ({of})"


def primary_metric(task: str, kind: Kind | None = None) -> str:
    """Return the primary metric of a task; ``kind`` decides for ``custom`` data."""
    if task in TASKS:
        return TASKS[task].metrics[0]
    return CUSTOM_METRICS[kind or "classification"][0]
