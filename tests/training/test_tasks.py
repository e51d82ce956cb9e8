from __future__ import annotations

import numpy as np
import pytest

from lora2_search.config import GLUE_TASKS, PACKAGED_TASKS
from lora2_search.training.tasks import METRICS, TASKS, primary_metric, score

# Worked by hand: tp=2 fp=1 fn=1 tn=1, so F1 = 2/3 and MCC = (2*1 - 1*1) / sqrt(3*3*2*2).
LABELS = np.array([1.0, 1, 1, 0, 0])
PREDICTED = np.array([1.0, 1, 0, 1, 0])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", 3 / 5),
        ("f1", 2 / 3),
        ("matthews", 1 / 6),
        ("pearson", 1 / 6),
        ("spearman", 1 / 6),
    ],
)
def test_metrics_equal_values_worked_by_hand(metric: str, expected: float) -> None:
    assert score(metric, LABELS, PREDICTED) == pytest.approx(expected)


def test_f1_over_three_classes_is_the_mean_over_classes() -> None:
    labels, said = np.array([0.0, 1, 2, 2]), np.array([0.0, 2, 2, 2])
    assert score("f1", labels, said) == pytest.approx((1 + 0 + 0.8) / 3)


@pytest.mark.parametrize("metric", ["pearson", "spearman", "matthews"])
def test_a_constant_answer_has_a_correlation_of_zero_not_nan(metric: str) -> None:
    assert score(metric, LABELS, np.ones(5)) == 0


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_an_answer_that_is_not_finite_scores_nan(metric: str) -> None:
    assert np.isnan(score(metric, LABELS, np.array([1, np.nan, 0, 1, 0])))


def test_every_task_that_a_configuration_may_name_has_known_metrics() -> None:
    assert set(TASKS) == {*GLUE_TASKS, *PACKAGED_TASKS}
    assert all(set(task.metrics) <= METRICS.keys() for task in TASKS.values())
    assert primary_metric("cola") == "matthews" and primary_metric("custom", "regression")


def test_the_kind_of_f1_is_told_by_the_task_and_not_by_the_split() -> None:
    labels, said = np.array([0.0, 1, 1, 0]), np.array([2.0, 1, 0, 0])
    # class 0: 2 tp+fp, 2 tp+fn, 1 tp; class 1: 1, 2, 1; class 2: 1, 0, 0
    assert score("f1", labels, said) == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    two = np.array([0.0, 1, 0, 0])
    assert score("f1", labels, two, classes=3) == pytest.approx((0.8 + 2 / 3) / 2)
    assert score("f1", labels, two, classes=2) == pytest.approx(2 / 3)
