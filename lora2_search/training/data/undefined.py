"""Metrics that are undefined on a split: said before a run, refused where it is judged by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...config import RunConfig, is_defined
from ...errors import Problem, listed
from .load import Data
from .reading.table import shown
from .sources import is_cut


def undefined(data: Data) -> Iterator[str]:
    """Say which metrics will have no score on a split, and why."""
    for name, split in data.splits.items():
        metrics = [metric for metric in data.metrics if not _defined(data, name, metric)]
        same = name == "validation" and split is data.splits["test"]
        if metrics and name != "train" and not same:
            has = "has" if len(metrics) == 1 else "have"
            yield f"{_labels(data, name)}: {listed(metrics)} {has} no score there."


def undefined_problem(
    data: Data, config: RunConfig, split: str, key: str | None = None, metric: str | None = None
) -> Problem | None:
    """Return why runs cannot be judged by a metric on a split; ``None`` where they can.

    Args:
        data: The splits.
        config: The run.
        split: Where the metric is measured.
        key: The setting that names the metric, ``None`` where none does.
        metric: Its name, ``None`` for the primary one.
    """
    metric = metric or data.metrics[0]
    if _defined(data, split, metric):
        return None
    remedies = {"another metric": key, **_larger(data, config, split)}
    known = {words: setting for words, setting in remedies.items() if setting is not None}
    choose = " or ".join(known) or "other data"
    message = f"{_labels(data, split)}; {metric} needs {_needed(data, metric)}: choose {choose}"
    return Problem(next(iter(known.values()), "data.path"), message)


def _defined(data: Data, split: str, metric: str) -> bool:
    return is_defined(metric, data.splits[split].labels, len(data.classes) or None)


def _labels(data: Data, name: str) -> str:
    """Say what the labels of a split lack."""
    labels = data.splits[name].labels
    count = f"{name} has {len(labels):,} example{'s' if len(labels) > 1 else ''}"
    if not data.classes:
        return f"{count}, all labelled {labels[0]:g}"
    there = np.unique(labels).astype(int)
    if len(there) == 1:
        return f"{count}, all of class {shown(data.classes[there[0]])}"
    absent = [shown(each) for index, each in enumerate(data.classes) if index not in there]
    return f"{count}, none of class {listed(absent)}"


def _needed(data: Data, metric: str) -> str:
    if not data.classes:
        return "labels that differ"
    if metric == "f1":
        return f"examples of {shown(data.classes[1])} (data.positive)"
    if len(data.classes) == 2:
        return "both classes"
    return "every class" if metric == "roc_auc" else "at least two classes"


def _larger(data: Data, config: RunConfig, split: str) -> dict[str, str]:
    """Return what gives a split more examples, by its words."""
    if data.splits[split] is not data.splits["test"]:
        return {"a larger data.validation_size": "data.validation_size"}
    if is_cut(config.task, config.data):
        return {"a larger data.test_size": "data.test_size"}
    if config.data.test_path is not None:
        return {"another data.test_path": "data.test_path"}
    return {}
