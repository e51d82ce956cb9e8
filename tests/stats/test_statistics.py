from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.multitest import multipletests

from lora2_search.stats.significance import (
    crossed,
    holm,
    paired,
    pigeonhole,
    seeds_for_sign_flip,
    sign_flip,
    variance_parts,
)

scores = st.lists(st.integers(-277, 277).map(lambda n: n / 277), min_size=2, max_size=9)


@given(scores.filter(lambda d: len(set(d)) > 1))
def test_the_paired_t_test_and_its_interval_are_scipys(d: list[float]) -> None:
    ours = paired(d)
    theirs = stats.ttest_rel(d, np.zeros(len(d)))
    low, high = theirs.confidence_interval(0.95)
    assert ours.p == pytest.approx(theirs.pvalue, abs=1e-8)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=1e-8)
    assert ours.estimate == pytest.approx(np.mean(d)) and ours.sd == pytest.approx(
        np.std(d, ddof=1)
    )


@settings(max_examples=30, deadline=None)
@given(scores)
def test_the_sign_flip_test_is_scipys_exact_permutation_test(d: list[float]) -> None:
    theirs = stats.permutation_test(
        (np.array(d),),
        # Sums over 277ths: rounding keeps equal sums equal.
        lambda x, axis: np.round(np.abs(np.sum(x, axis=axis)), 9),
        permutation_type="samples",
        n_resamples=np.inf,
        alternative="greater",
        vectorized=True,
    )
    assert sign_flip(d) == pytest.approx(theirs.pvalue, abs=1e-8)


@given(scores)
def test_the_sign_flip_test_is_the_share_of_all_sign_patterns(d: list[float]) -> None:
    seen = abs(sum(d))
    patterns = list(itertools.product([1, -1], repeat=len(d)))
    hits = sum(abs(sum(s * x for s, x in zip(p, d, strict=True))) >= seen - 1e-9 for p in patterns)
    assert sign_flip(d) == pytest.approx(hits / len(patterns))


def test_many_pairs_are_flipped_at_random_and_come_near_the_t_test() -> None:
    d = np.random.default_rng(3).normal(0.3, 1.0, size=40)
    p = sign_flip(d)
    assert p == sign_flip(d)
    assert p == pytest.approx(paired(d).p or 0, abs=0.01)
    assert sign_flip(np.ones(40)) == pytest.approx(1 / 100_001)


@pytest.mark.parametrize("comparisons, seeds", [(0, 6), (1, 6), (2, 7), (3, 7), (6, 8)])
def test_the_exact_test_needs_as_many_seeds_as_holm_asks(comparisons: int, seeds: int) -> None:
    assert seeds_for_sign_flip(comparisons) == seeds
    m = max(comparisons, 1)
    smallest = sign_flip(np.ones(seeds))
    assert smallest * m <= 0.05 < 2 * smallest * m


@pytest.mark.parametrize("p", [[0.03], [0.01, 0.04], [0.04, 0.01, 0.03, 0.9], [0.2, 0.2, 1.0, 0.0]])
def test_holm_is_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1].tolist(), abs=1e-12)


def test_a_comparison_without_p_makes_the_others_no_easier() -> None:
    assert holm([0.01, None, 0.02]) == [pytest.approx(0.03), None, pytest.approx(0.04)]
    assert holm([]) == []


@pytest.mark.parametrize(
    "d, p, low, word",
    [
        ([], None, None, "no seed"),
        ([0.1], None, None, "one seed"),
        ([0.0, 0.0, 0.0], 1.0, 0.0, "all tie"),
        ([0.1, 0.1, 0.1], None, None, "no seed variation"),
        ([0.3 - 0.2, 0.1, 0.4 - 0.3], None, None, "no seed variation"),
    ],
)
def test_where_no_t_test_is_possible_a_sentence_stands_in_its_place(
    d: list[float], p: float | None, low: float | None, word: str
) -> None:
    result = paired(d)
    assert (result.p, result.low) == (p, low) and word in result.note


def test_ties_are_counted() -> None:
    assert paired([0.0, 0.1, 0.0, -0.2]).ties == 2


differences = arrays(
    np.int8, st.tuples(st.integers(2, 6), st.integers(2, 12)), elements=st.integers(-1, 1)
)


@given(differences)
def test_the_crossed_test_is_the_formula_written_out(d: np.ndarray) -> None:
    S, E = d.shape
    grand = d.mean()
    seed_means, example_means = [row.mean() for row in d], [column.mean() for column in d.T]
    v_s = sum((x - grand) ** 2 for x in seed_means) / (S - 1) / S
    v_e = sum((x - grand) ** 2 for x in example_means) / (E - 1) / E
    rest = sum(
        (d[s, e] - seed_means[s] - example_means[e] + grand) ** 2
        for s in range(S)
        for e in range(E)
    )
    v_r = rest / ((S - 1) * (E - 1)) / (S * E)
    assert variance_parts(d.astype(float)) == pytest.approx((v_s, v_e, v_r), abs=1e-12)
    v = max(v_s + v_e - v_r, v_s, v_e)
    result = crossed(d)
    assert result.estimate == pytest.approx(grand, abs=1e-12)
    if v < 1e-20:
        assert result.p == (1.0 if grand == 0 else None) and result.note
        return
    df = v**2 / (v_s**2 / (S - 1) + v_e**2 / (E - 1))
    if math.isclose(v, v_s, rel_tol=1e-12):
        return
    assert result.p == pytest.approx(2 * stats.t.sf(abs(grand) / math.sqrt(v), df), abs=1e-8)
    reach = stats.t.ppf(0.975, df) * math.sqrt(v)
    assert (result.low, result.high) == pytest.approx((grand - reach, grand + reach), abs=1e-8)


def test_when_only_seeds_vary_the_crossed_test_is_the_paired_t_test() -> None:
    d = np.repeat([[0.1], [0.3], [-0.1], [0.4]], 50, axis=1)
    both, seeds = crossed(d), paired(d.mean(axis=1))
    assert both.p == pytest.approx(seeds.p) and both.low == pytest.approx(seeds.low)
    assert both.shares == pytest.approx((1, 0, 0))


def test_when_only_sentences_vary_the_crossed_test_is_the_t_test_over_sentences() -> None:
    row = np.random.default_rng(0).integers(-1, 2, size=60).astype(float)
    both = crossed(np.tile(row, (5, 1)))
    assert both.p == pytest.approx(stats.ttest_1samp(row, 0).pvalue, abs=1e-8)
    assert both.shares == pytest.approx((0, 1, 0))


@given(differences)
def test_no_statistic_is_ever_nan_and_every_gap_has_a_reason(d: np.ndarray) -> None:
    for result in (crossed(d), paired(d.mean(axis=1))):
        numbers = [result.estimate, result.low, result.high, result.p]
        assert all(x is None or math.isfinite(x) for x in numbers)
        assert result.p is None or 0 <= result.p <= 1
        assert result.p is not None or result.note


@pytest.mark.parametrize("shape", [(0, 0), (1, 50), (5, 1), (1, 1)])
def test_the_crossed_test_says_what_it_lacks(shape: tuple[int, int]) -> None:
    result = crossed(np.ones(shape))
    assert result.p is None and "must be 2 or more" in result.note


def test_the_two_way_bootstrap_finds_what_is_there_and_nothing_else() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=200)

    def predict(rate: float) -> np.ndarray:
        return np.where(generator.random((6, 200)) < rate, labels, 1 - labels)

    def against(a: np.ndarray, b: np.ndarray):
        def difference(rows: np.ndarray, columns: np.ndarray) -> float:
            truth = labels[columns]
            return float(
                np.mean(
                    [
                        np.corrcoef(truth, a[r, columns])[0, 1]
                        - np.corrcoef(truth, b[r, columns])[0, 1]
                        for r in rows
                    ]
                )
            )

        return pigeonhole(difference, 6, 200, repeats=100)

    good, other, bad = predict(0.85), predict(0.85), predict(0.65)
    apart, same, itself = against(good, bad), against(good, other), against(good, good)
    assert apart.p == pytest.approx(2 / 101) and (apart.low or 0) > 0.2
    assert (same.p or 0) > 0.05 and (same.low or 0) < 0 < (same.high or 0)
    assert (itself.p, itself.low, itself.high) == (1.0, 0.0, 0.0)
    assert "6 seeds" in apart.note
