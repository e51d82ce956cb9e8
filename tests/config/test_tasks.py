from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lora2_search.config.run import GLUE_TASKS, METAMATH, PACKAGED_TASKS
from lora2_search.config.tasks import (
    METRICS,
    OF_LOGITS,
    OF_TOKENS,
    TASKS,
    constant_scores,
    is_defined,
    named_metric,
    primary_metric,
    score,
    score_logits,
)

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
    assert set(TASKS) == {*GLUE_TASKS, METAMATH, *PACKAGED_TASKS}
    assert all(set(task.metrics) <= {*METRICS, *OF_TOKENS} for task in TASKS.values())
    assert primary_metric("cola") == "matthews" and primary_metric("custom", "regression")


def test_the_kind_of_f1_is_told_by_the_task_and_not_by_the_split() -> None:
    labels, said = np.array([0.0, 1, 1, 0]), np.array([2.0, 1, 0, 0])
    # class 0: 2 tp+fp, 2 tp+fn, 1 tp; class 1: 1, 2, 1; class 2: 1, 0, 0
    assert score("f1", labels, said) == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    two = np.array([0.0, 1, 0, 0])
    assert score("f1", labels, two, classes=3) == pytest.approx((0.8 + 2 / 3) / 2)
    assert score("f1", labels, two, classes=2) == pytest.approx(2 / 3)


@pytest.mark.parametrize("classes", [2, 4])
def test_metrics_equal_those_of_scikit_learn(classes: int) -> None:
    from scipy.special import softmax
    from sklearn import metrics as sk

    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 60).astype(float)
    logits = rng.normal(size=(60, classes)) + 0.5 * np.eye(classes)[labels.astype(int)]
    said = logits.argmax(axis=1).astype(float)
    shares = softmax(logits, axis=1)
    expected = {
        "accuracy": sk.accuracy_score(labels, said),
        "macro_f1": sk.f1_score(labels, said, average="macro"),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, said),
    }
    found = {name: score(name, labels, said, classes) for name in expected}
    assert found == pytest.approx(expected)
    assert score_logits("log_loss", labels, logits) == pytest.approx(sk.log_loss(labels, shares))
    auc = sk.roc_auc_score(labels, shares[:, 1] if classes == 2 else shares, multi_class="ovr")
    assert score_logits("roc_auc", labels, logits) == pytest.approx(auc)


@pytest.mark.parametrize(
    ("metric", "labels", "classes"),
    [
        ("roc_auc", [1, 1, 1], 2),
        ("roc_auc", [0, 0, 0], 2),
        ("roc_auc", [0, 1, 1], 3),
        ("f1", [0, 0, 0], 2),
        ("matthews", [1, 1, 1], 2),
        ("matthews", [2, 2, 2], 3),
        ("pearson", [3.5, 3.5, 3.5], None),
        ("spearman", [3.5, 3.5, 3.5], None),
        ("spearman", [3.5], None),
    ],
)
def test_a_metric_that_the_labels_leave_undefined_has_no_value(
    metric: str, labels: list[float], classes: int | None
) -> None:
    told = np.array(labels, dtype=float)
    assert not is_defined(metric, told, classes)
    for answers in (told, np.arange(len(told)) % 2.0, np.full_like(told, np.nan)):
        if metric in OF_LOGITS:
            logits = np.tile(answers[:, None], (1, classes or 1)) * np.arange(classes or 1)
            assert score_logits(metric, told, logits) is None
        else:
            assert score(metric, told, answers, classes) is None
    assert constant_scores((metric,), told, told, classes) == {}


@pytest.mark.parametrize(
    ("metric", "labels", "classes"),
    [
        ("f1", [1, 1, 1], 2),
        ("f1", [0, 0, 0], 3),
        ("macro_f1", [0, 0, 0], 2),
        ("balanced_accuracy", [0, 0, 0], 2),
        ("accuracy", [0, 0, 0], 2),
        ("log_loss", [0, 0, 0], 2),
        ("matthews", [0, 0, 2], 3),
    ],
)
def test_other_metrics_are_defined_where_a_class_is_missing(
    metric: str, labels: list[float], classes: int
) -> None:
    told = np.array(labels, dtype=float)
    assert is_defined(metric, told, classes)
    assert metric in constant_scores((metric,), told, told, classes)


def test_the_constant_answer_has_no_log_loss_on_a_class_that_train_does_not_show() -> None:
    train, test = np.array([0.0, 0, 1]), np.array([0.0, 1, 2])
    assert constant_scores(("accuracy", "log_loss"), train, test, 3) == {"accuracy": 1 / 3}
    assert "log_loss" in constant_scores(("accuracy", "log_loss"), train, test[:2], 3)


def _tie_by_rounding(centred: np.ndarray) -> bool:
    logs = centred - np.log(np.exp(centred).sum(axis=1, keepdims=True))
    near = (abs(logs[:, None] - logs[None]) < 1e-9).any(axis=2)
    same = (centred[:, None] == centred[None]).all(axis=2)
    return bool((near & ~same).any())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_defined_metric_of_classes_is_that_of_scikit_learn(data: st.DataObject) -> None:
    from scipy.special import softmax
    from sklearn import metrics as sk

    classes, count = data.draw(st.integers(2, 4)), data.draw(st.integers(1, 12))
    several = st.lists(st.integers(0, classes - 1), min_size=count, max_size=count)
    labels = np.array(data.draw(several), dtype=float)
    row = st.lists(st.integers(-6, 6), min_size=classes, max_size=classes)
    logits = np.array(data.draw(st.lists(row, min_size=count, max_size=count)), dtype=float)
    # Rows such as [-1, -2, 4] and [-2, 3, -3] give class 0 one share, but for the order of a sum's
    # terms: whether they tie is then for rounding to say, here as in scikit-learn.
    centred = logits - logits.max(axis=1, keepdims=True)
    assume(not _tie_by_rounding(centred))
    said, shares = logits.argmax(axis=1).astype(float), softmax(logits, axis=1)
    every = list(range(classes))
    average = "binary" if classes == 2 else "macro"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sklearn warns of what it leaves undefined
        expected: dict[str, Callable[[], float]] = {
            "accuracy": lambda: sk.accuracy_score(labels, said),
            "f1": lambda: sk.f1_score(labels, said, average=average, zero_division=np.nan),
            "macro_f1": lambda: sk.f1_score(labels, said, average="macro"),
            "balanced_accuracy": lambda: sk.balanced_accuracy_score(labels, said),
            "matthews": lambda: sk.matthews_corrcoef(labels, said),
            "log_loss": lambda: sk.log_loss(labels, shares, labels=every),
            "roc_auc": lambda: _sk_auc(labels, shares),
        }
        for metric, theirs in expected.items():
            ours = (
                score_logits(metric, labels, logits)
                if metric in OF_LOGITS
                else score(metric, labels, said, classes)
            )
            assert (ours is not None) == is_defined(metric, labels, classes)
            if ours is not None:
                assert ours == pytest.approx(theirs(), abs=1e-12), metric


def _sk_auc(labels: np.ndarray, shares: np.ndarray) -> float:
    from sklearn import metrics as sk

    scores = shares[:, 1] if shares.shape[1] == 2 else shares
    return float(sk.roc_auc_score(labels, scores, multi_class="ovr"))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=12))
def test_a_defined_correlation_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    from scipy import stats

    labels, said = np.array(pairs, dtype=float).T / 3
    for metric, theirs in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        ours = score(metric, labels, said)
        if np.ptp(labels) == 0:
            assert ours is None
        elif np.ptp(said) == 0:
            assert ours == 0
        else:
            assert ours == pytest.approx(theirs(labels, said).statistic, abs=1e-12)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_logits_that_are_not_finite_score_nan(metric: str) -> None:
    logits = np.array([[0.0, np.inf], [0.0, 1.0]])
    assert np.isnan(score_logits(metric, np.array([0.0, 1.0]), logits))


def test_the_constant_answer_is_the_commonest_class_of_train() -> None:
    train, test = np.array([0.0, 0, 0, 1]), np.array([0.0, 1, 1, 1])
    names = ("accuracy", "f1", "macro_f1", "balanced_accuracy", "roc_auc", "log_loss")
    found = constant_scores(names, train, test, 2)
    assert found == pytest.approx(
        {
            "accuracy": 0.25,
            "f1": 0.0,
            "macro_f1": 0.2,
            "balanced_accuracy": 0.5,
            "roc_auc": 0.5,
            "log_loss": -(np.log(0.75) + 3 * np.log(0.25)) / 4,
        }
    )
    numbers = constant_scores(("pearson", "spearman"), train, test, None)
    assert numbers == {"pearson": 0.0, "spearman": 0.0}


@pytest.mark.parametrize(
    ("metric", "classes", "expected"),
    [
        ("f1", ["abnormal", "normal"], "f1 (positive: normal)"),
        ("test/f1", ["a", "b", "c"], "test/f1 (mean over 3 classes)"),
        ("accuracy", ["a", "b"], "accuracy"),
        ("f1", [], "f1"),
    ],
)
def test_f1_is_called_with_the_class_that_it_is_of(
    metric: str, classes: list[str], expected: str
) -> None:
    assert named_metric(metric, classes) == expected
