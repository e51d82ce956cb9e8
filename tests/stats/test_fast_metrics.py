from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora2_search.config.tasks import score
from lora2_search.stats.fast_metrics import scorer

METRICS = ["accuracy", "f1", "matthews", "macro_f1", "balanced_accuracy"]


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_class_metric_is_that_of_training_on_every_sample(
    metric: str, data: st.DataObject
) -> None:
    classes = data.draw(st.integers(2, 4))
    kinds = st.lists(st.integers(0, classes - 1), min_size=6, max_size=6)
    labels = np.array(data.draw(kinds), dtype=float)
    answers = np.array([data.draw(kinds), data.draw(kinds)], dtype=float)
    columns = np.array(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=9)))
    ours = scorer(metric, labels, answers, classes)(1, columns)
    theirs = score(metric, labels[columns], answers[1, columns], classes) or 0.0  # if undefined
    assert ours == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-5, 5), min_size=5, max_size=5),
    st.lists(st.integers(-5, 5), min_size=5, max_size=5),
    st.lists(st.integers(0, 4), min_size=2, max_size=8),
)
def test_a_correlation_is_that_of_training_on_every_sample(
    metric: str, labels: list[int], answers: list[int], drawn: list[int]
) -> None:
    x, y, columns = np.array(labels, float), np.array([answers], float), np.array(drawn)
    ours = scorer(metric, x, y, None)(0, columns)
    theirs = score(metric, x[columns], y[0, columns]) or 0.0  # where it is undefined
    assert ours == pytest.approx(theirs, abs=1e-10)


def test_classes_that_are_not_told_are_those_of_the_whole_test_set() -> None:
    labels, answers = np.array([0.0, 1.0, 2.0, 1.0]), np.array([[0.0, 2.0, 2.0, 1.0]])
    columns = np.array([0, 3])
    ours = scorer("f1", labels, answers, None)(0, columns)
    assert ours == pytest.approx(score("f1", labels[columns], answers[0, columns], 3))
