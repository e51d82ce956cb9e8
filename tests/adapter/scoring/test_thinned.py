from __future__ import annotations

import pytest
import torch

from lora2_search.adapter.scoring.thinned import ThinnedScoring
from tests.support.adapters import matrices
from tests.support.steps import BETA1, BETA2, literal_scores, snapshot, with_gradients


@pytest.mark.parametrize(
    ("interval", "looked_at"),
    [
        (1, list(range(10))),
        (2, [0, 2, 4, 6, 8]),
        (2.25, [0, 3, 5, 7, 9]),
        (3, [0, 3, 6, 9]),
    ],
)
def test_one_step_in_an_interval_is_scored_as_reduced_scoring_would(
    interval: float, looked_at: list[int]
) -> None:
    factors = matrices([3], 4, [(3, 2), (5, 2)])
    scoring = ThinnedScoring(factors, BETA1, BETA2, interval)
    history = []
    for seed in range(10):
        scoring.update(with_gradients(factors, seed))
        scoring.scores()
        history.append(snapshot(factors))
    expected = literal_scores(
        [history[step] for step in looked_at], beta1=BETA1**interval, beta2=BETA2**interval
    )
    torch.testing.assert_close(scoring.scores(), expected, rtol=1e-9, atol=0)


def test_a_step_that_is_passed_over_costs_no_look_at_the_weights() -> None:
    factors = with_gradients(matrices([3], 4, [(3, 2)]), 0)
    scoring = ThinnedScoring(factors, BETA1, BETA2)
    scoring.update(factors)
    before = scoring.scores()
    scoring.update([])
    assert scoring.scores() is before
