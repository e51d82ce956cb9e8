"""Scores of sentences drawn anew, as ``config.score`` gives them, a hundred times as fast.

A bootstrap asks for thousands of scores of the same answers. For classes it is enough to count how
often each class is taken for each; sklearn checks its whole input at every call.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

# Metrics of tasks whose labels are numbers, not classes.
CORRELATIONS = ("pearson", "spearman")

# The score of one seed's answers on some sentences (columns, repeats allowed).
Scorer = Callable[[int, NDArray[np.int64]], float]


def scorer(metric: str, labels: Values, answers: Values, classes: int | None) -> Scorer:
    """Return what scores one seed on sentences drawn anew.

    Args:
        metric: A metric of ``config.score``.
        labels: The right answers, ``[E]``.
        answers: The answers given, ``[S, E]``.
        classes: Number of classes of the task; told from labels and answers when ``None``.

    Returns:
        A function of the seed and the sentences. Where these leave the metric undefined it
        gives 0.
    """
    if metric in CORRELATIONS:
        ranked = metric == "spearman"
        return lambda seed, columns: _correlation(labels[columns], answers[seed, columns], ranked)
    count = max(int(max(labels.max(), answers.max())) + 1, classes or 2)
    # Classes of the task, or of the whole test set: a sample may lack one.
    several = (classes or count) > 2
    cells = (labels * count + answers).astype(np.int64)
    of_table: dict[str, Callable[[Values], float]] = {
        "accuracy": lambda table: float(np.trace(table) / table.sum()),
        "exact_match": lambda table: float(np.trace(table) / table.sum()),
        "balanced_accuracy": _balanced_accuracy,
        "matthews": _matthews,
        "f1": lambda table: _f1(table, several),
        "macro_f1": lambda table: _f1(table, True),
    }
    score = of_table[metric]

    def scored(seed: int, columns: NDArray[np.int64]) -> float:
        counted = np.bincount(cells[seed, columns], minlength=count * count)
        table = counted.reshape(count, count).astype(float)
        return score(table)

    return scored


def _f1(table: Values, several: bool) -> float:
    """Return F1 of class 1, or the mean over the classes that occur (rows are labels).

    van Rijsbergen 1979, Information Retrieval, chapter 7.
    """
    right, both = np.diag(table), table.sum(axis=0) + table.sum(axis=1)
    each = np.divide(2 * right, both, out=np.zeros_like(right), where=both > 0)
    return float(each[both > 0].mean()) if several else float(each[1])


def _balanced_accuracy(table: Values) -> float:
    """Return the mean share of right answers over the classes that occur.

    Brodersen et al. 2010, ICPR, 3121.
    """
    total = table.sum(axis=1)
    return float((np.diag(table)[total > 0] / total[total > 0]).mean())


def _matthews(table: Values) -> float:
    """Return Matthews' correlation of several classes; 0 where one side is constant.

    Matthews 1975, Biochim. Biophys. Acta 405, 442; several classes: Gorodkin 2004, Comput. Biol.
    Chem. 28, 367.
    """
    true, told, total = table.sum(axis=1), table.sum(axis=0), table.sum()
    spread = (total**2 - true @ true) * (total**2 - told @ told)
    return float((np.trace(table) * total - true @ told) / np.sqrt(spread)) if spread > 0 else 0.0


def _correlation(labels: Values, answers: Values, ranked: bool) -> float:
    if np.ptp(labels) == 0 or np.ptp(answers) == 0:
        return 0.0
    if ranked:
        from scipy.stats import rankdata

        labels, answers = rankdata(labels), rankdata(answers)
    x, y = labels - labels.mean(), answers - answers.mean()
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))
