from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lora2_search.adapter.config import Lora2Config
from lora2_search.adapter.factors import Factors
from lora2_search.adapter.scoring.importance import ImportanceScoring
from lora2_search.adapter.scoring.interface import Scoring, ScoringContext
from lora2_search.adapter.scoring.registry import new_scoring
from tests.support.adapters import matrices
from tests.support.steps import BETA1, BETA2, literal_scores, snapshot, with_gradients


def scoring_of(name: str, factors: list[Factors]) -> Scoring:
    config = Lora2Config(beta1=BETA1, beta2=BETA2)
    return new_scoring(name, ScoringContext(factors, [str(i) for i in range(len(factors))], config))


FORMULAS = {
    "reduced": {},
    "full": {"outer": True},
    "values": {"inner": False},
    "sensitivity": {"beta2": None},
}


@settings(max_examples=10, deadline=None)
@given(
    mode=st.sampled_from(sorted(FORMULAS)),
    widths=st.lists(st.integers(1, 4), max_size=2),
    rank=st.integers(1, 4),
)
def test_scores_equal_the_formula_written_out(mode: str, widths: list[int], rank: int) -> None:
    factors = matrices(widths, rank, [(3, 2), (3, 2), (2, 4)])
    scoring = scoring_of(mode, factors)
    history = []
    for seed in range(4):
        scoring.update(with_gradients(factors, seed))
        history.append(snapshot(factors))
    expected = literal_scores(history, **FORMULAS[mode])
    torch.testing.assert_close(scoring.scores(), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("mode", FORMULAS)
def test_matrices_of_different_ranks_are_scored_side_by_side(mode: str) -> None:
    factors = matrices([3], 4, [(3, 2)]) + matrices([3], 0, [(3, 2)]) + matrices([3], 2, [(5, 2)])
    scoring = scoring_of(mode, factors)
    scoring.update(with_gradients(factors, 0))
    expected = literal_scores([snapshot(factors)], **FORMULAS[mode])
    torch.testing.assert_close(scoring.scores(), expected, rtol=1e-9, atol=0)


def test_magnitude_is_the_size_after_the_latest_step() -> None:
    factors = matrices([3], 4, [(3, 2), (5, 2)])
    scoring = scoring_of("magnitude", factors)
    for seed in range(2):
        scoring.update(with_gradients(factors, seed))
    assert scoring.scores().tolist() == [abs(x) for m in factors for x in m.values.tolist()]
    factors[0].values.data.zero_()
    assert scoring.scores()[:4].ne(0).all()


def test_with_one_plane_the_full_score_is_the_reduced_one() -> None:
    factors = matrices([], 4, [(3, 2), (5, 2)])
    reduced, full = (scoring_of(name, factors) for name in ("reduced", "full"))
    for seed in range(3):
        with_gradients(factors, seed)
        reduced.update(factors)
        full.update(factors)
    assert torch.equal(reduced.scores(), full.scores())


def test_full_scores_differ_from_reduced_by_the_same_amount_within_a_matrix() -> None:
    factors = with_gradients(matrices([3, 2], 4, [(3, 2), (5, 2)]), 0)
    reduced, full = (scoring_of(name, factors) for name in ("reduced", "full"))
    reduced.update(factors)
    full.update(factors)
    offsets = (full.scores() - reduced.scores()).view(2, 4)
    assert (offsets[0] - offsets[1]).abs().min() > 1e-3
    torch.testing.assert_close(offsets, offsets[:, :1].expand(2, 4))


def test_an_outer_weight_changes_no_reduced_score() -> None:
    scores = []
    for factor in (1.0, 100.0):
        factors = with_gradients(matrices([3], 4, [(3, 2)]), 0)
        factors[0].left[0].data *= factor
        scoring = scoring_of("reduced", factors)
        scoring.update(factors)
        scores.append(scoring.scores())
    assert torch.equal(*scores)


@pytest.mark.parametrize("widths", [[], [3], [4, 2]])
def test_lambda_repeats_what_its_column_of_u_and_row_of_v_say(widths: list[int]) -> None:
    factors = matrices(widths, 3, [(5, 4)])[0]
    delta = torch.linalg.multi_dot([*factors.left, factors.values.diag(), *reversed(factors.right)])
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(7, 4, generator=generator, dtype=torch.float64)
    (x @ delta.mT).sin().sum().backward()
    u, v = factors.left[-1], factors.right[-1]
    expected = factors.values * factors.values.grad
    torch.testing.assert_close((u * u.grad).sum(dim=0), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close((v * v.grad).sum(dim=1), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("mode", FORMULAS)
def test_a_module_that_took_no_part_in_the_step_scores_zero(mode: str) -> None:
    factors = with_gradients(matrices([3], 4, [(3, 2), (3, 2)]), 0)
    for tensor in (*factors[1].left, factors[1].values, *factors[1].right):
        tensor.grad = None
    scoring = scoring_of(mode, factors)
    scoring.update(factors)
    assert (scoring.scores()[:4] > 0).all()
    assert torch.equal(scoring.scores()[4:], torch.zeros(4, dtype=torch.float64))


@pytest.mark.parametrize("mode", FORMULAS)
def test_scoring_without_any_gradient_says_when_to_call(mode: str) -> None:
    factors = matrices([3], 4, [(3, 2)])
    with pytest.raises(RuntimeError, match="before `optimizer.zero_grad"):
        scoring_of(mode, factors).update(factors)


def test_half_precision_weights_are_averaged_in_float32() -> None:
    factors = with_gradients(matrices([3], 4, [(3, 2)], dtype=torch.bfloat16), 0)
    scoring = ImportanceScoring(factors, BETA1, BETA2)
    scoring.update(factors)
    assert {t.dtype for t in scoring.state().values()} == {torch.float32}


def test_scoring_changes_neither_weights_nor_gradients() -> None:
    factors = with_gradients(matrices([3], 4, [(3, 2), (5, 2)]), 0)
    before = snapshot(factors)
    for mode in FORMULAS:
        scoring_of(mode, factors).update(factors)
    for now, then in zip(factors, before, strict=True):
        for a, b in zip(
            (*now.left, now.values, *now.right), (*then.left, then.values, *then.right), strict=True
        ):
            assert torch.equal(a, b) and torch.equal(a.grad, b.grad)
