from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.weightstats import ttost_paired

from lora2_search.verification.equivalence import tost


@pytest.mark.parametrize("seed", range(5))
def test_the_p_value_is_that_of_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(0.7, 0.02, 6), rng.normal(0.7, 0.02, 6)
    expected = ttost_paired(one, other, -0.02, 0.02)[0]
    assert tost(one - other, 0.02).p == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_the_90_percent_interval_lies_within_the_margin_when_the_test_rejects(seed: int) -> None:
    d = np.random.default_rng(seed).normal(0.004, 0.01, 6)
    found = tost(d, 0.02)
    assert found.low is not None and found.high is not None and found.p is not None
    assert (found.p <= 0.05) == (found.low >= -0.02 and found.high <= 0.02)


@pytest.mark.parametrize(
    ("differences", "note"),
    [([], "0 seed(s)"), ([0.1], "1 seed(s)"), ([0.0, 0.0, 0.0], "no seed variation")],
)
def test_without_variation_there_is_no_test(differences: list[float], note: str) -> None:
    found = tost(differences, 0.02)
    assert found.p is None
    assert note in found.note
