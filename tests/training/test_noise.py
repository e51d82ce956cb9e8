from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from lora2_search.execution.schedulers import promoted
from lora2_search.training.kinds.labelled import LabelledPredictions
from lora2_search.training.loop.evaluate import standard_error


def classified(labels: np.ndarray, answers: np.ndarray) -> LabelledPredictions:
    logits = np.eye(2, dtype=np.float32)[answers.astype(int)]
    return LabelledPredictions(labels.astype(float), logits, "classification")


def test_accuracy_s_error_is_the_binomial_one() -> None:
    labels = np.zeros(400)
    said = classified(labels, np.arange(400) < 100)
    assert standard_error(said, "accuracy") == pytest.approx(math.sqrt(0.75 * 0.25 / 400))


def test_below_twenty_examples_one_is_left_out_at_a_time() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(12) % 2
    answers = np.where(generator.random(12) < 0.7, labels, 1 - labels)
    left = [
        matthews_corrcoef(np.delete(labels, i), np.delete(answers, i)) for i in range(len(labels))
    ]
    expected = math.sqrt(11 / 12 * sum((value - np.mean(left)) ** 2 for value in left))
    assert standard_error(classified(labels, answers), "matthews") == pytest.approx(expected)


def test_a_correlation_s_error_is_near_that_of_normal_samples() -> None:
    generator = np.random.default_rng(1)
    found = []
    for _ in range(60):
        truth, chance = generator.standard_normal((2, 400))
        answers = 0.5 * truth + math.sqrt(0.75) * chance
        said = LabelledPredictions(truth, answers[:, None].astype(np.float32), "regression")
        found.append(standard_error(said, "pearson"))
    assert np.mean(found) == pytest.approx((1 - 0.25) / math.sqrt(400), rel=0.1)


@pytest.mark.parametrize(("labels", "logit"), [([1.0], 0.0), ([1.0, 0.0, 2.0], math.nan)])
def test_nothing_is_known_from_one_example_or_from_predictions_that_are_not_finite(
    labels: list[float], logit: float
) -> None:
    logits = np.full((len(labels), 1), logit, dtype=np.float32)
    said = LabelledPredictions(np.array(labels), logits, "regression")
    assert math.isnan(standard_error(said, "pearson"))


def test_a_score_that_hangs_on_one_example_is_not_sure_of_anything() -> None:
    labels = np.array([1, *[0] * 39])
    found = standard_error(classified(labels, labels), "f1")
    assert found == math.inf
    assert promoted(0.1, found, [0.9, 0.8, 0.7], 3)
    assert not promoted(0.1, math.nan, [0.9, 0.8, 0.7], 3)
