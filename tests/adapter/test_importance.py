from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lora2_search.adapter.factors import Factors
from lora2_search.adapter.importance import RandomScoring, ReducedScoring

from .models import matrices

BETA1, BETA2 = 0.85, 0.7


def literal_scores(history: Sequence[Sequence[Factors]]) -> list[float]:
    """Reduced scores of every λ after some steps, element by element, as the paper writes them."""

    def importance(name: str, m: int, index: tuple[int, ...]) -> float:
        sensitivity = uncertainty = 0.0
        for step in history:
            factor = {"U": step[m].left[-1], "V": step[m].right[-1], "l": step[m].values}[name]
            now = abs(float(factor.detach()[index] * factor.grad[index]))
            sensitivity = BETA1 * sensitivity + (1 - BETA1) * now
            uncertainty = BETA2 * uncertainty + (1 - BETA2) * abs(now - sensitivity)
        return sensitivity * uncertainty

    scores = []
    for m, factors in enumerate(history[0]):
        rows, columns = factors.left[-1].shape[0], factors.right[-1].shape[1]
        for i in range(len(factors.values)):
            u = sum(importance("U", m, (row, i)) for row in range(rows)) / rows
            v = sum(importance("V", m, (i, column)) for column in range(columns)) / columns
            scores.append(importance("l", m, (i,)) + u + v)
    return scores


def with_gradients(factors: list[Factors], seed: int) -> list[Factors]:
    generator = torch.Generator().manual_seed(seed)
    for matrix in factors:
        for tensor in (*matrix.left, matrix.values, *matrix.right):
            tensor.grad = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            tensor.data += tensor.grad
    return factors


def snapshot(factors: list[Factors]) -> list[Factors]:
    def copy(tensor: torch.Tensor) -> torch.Tensor:
        twin = tensor.detach().clone().requires_grad_()
        twin.grad = tensor.grad.clone()
        return twin

    return [
        Factors(tuple(map(copy, m.left)), copy(m.values), tuple(map(copy, m.right)))
        for m in factors
    ]


@settings(max_examples=15, deadline=None)
@given(widths=st.lists(st.integers(1, 4), max_size=2), rank=st.integers(1, 4))
def test_scores_equal_the_papers_formula_written_out(widths: list[int], rank: int) -> None:
    factors = matrices(widths, rank, [(3, 2), (3, 2), (2, 4)])
    scoring = ReducedScoring(factors, BETA1, BETA2)
    history = []
    for seed in range(4):
        scoring.update(with_gradients(factors, seed))
        history.append(snapshot(factors))
    expected = torch.tensor(literal_scores(history), dtype=torch.float64)
    torch.testing.assert_close(scoring.scores(), expected, rtol=1e-9, atol=0)


def test_matrices_of_different_ranks_are_scored_side_by_side() -> None:
    factors = matrices([3], 4, [(3, 2)]) + matrices([3], 0, [(3, 2)]) + matrices([3], 2, [(5, 2)])
    scoring = ReducedScoring(factors, BETA1, BETA2)
    scoring.update(with_gradients(factors, 0))
    expected = torch.tensor(literal_scores([snapshot(factors)]), dtype=torch.float64)
    torch.testing.assert_close(scoring.scores(), expected, rtol=1e-9, atol=0)


def test_an_outer_weight_changes_no_reduced_score() -> None:
    scores = []
    for factor in (1.0, 100.0):
        factors = with_gradients(matrices([3], 4, [(3, 2)]), 0)
        factors[0].left[0].data *= factor
        scoring = ReducedScoring(factors, BETA1, BETA2)
        scoring.update(factors)
        scores.append(scoring.scores())
    assert torch.equal(*scores)


def test_a_module_that_took_no_part_in_the_step_scores_zero() -> None:
    factors = with_gradients(matrices([3], 4, [(3, 2), (3, 2)]), 0)
    for tensor in (factors[1].left[-1], factors[1].values, factors[1].right[-1]):
        tensor.grad = None
    scoring = ReducedScoring(factors, BETA1, BETA2)
    scoring.update(factors)
    assert (scoring.scores()[:4] > 0).all()
    assert torch.equal(scoring.scores()[4:], torch.zeros(4, dtype=torch.float64))


def test_scoring_without_any_gradient_says_when_to_call() -> None:
    factors = matrices([3], 4, [(3, 2)])
    with pytest.raises(RuntimeError, match="before `optimizer.zero_grad"):
        ReducedScoring(factors, BETA1, BETA2).update(factors)


def test_half_precision_weights_are_averaged_in_float32() -> None:
    factors = with_gradients(matrices([3], 4, [(3, 2)], dtype=torch.bfloat16), 0)
    scoring = ReducedScoring(factors, BETA1, BETA2)
    scoring.update(factors)
    assert {t.dtype for t in scoring.state().values()} == {torch.float32}


def test_random_priorities_depend_on_seed_and_matrix_and_never_change() -> None:
    def priorities(names: list[str], seed: int) -> torch.Tensor:
        return RandomScoring(names, [3] * len(names), seed).scores()

    assert torch.equal(priorities(["a", "b"], 0), priorities(["a", "b"], 0))
    assert torch.equal(priorities(["a", "b"], 0)[3:], priorities(["b"], 0))
    assert not torch.equal(priorities(["a"], 0), priorities(["a"], 1))
    assert not torch.equal(priorities(["a"], 0), priorities(["b"], 0))
    scoring = RandomScoring(["a"], [3], 0)
    before = scoring.scores().clone()
    scoring.update(matrices([3], 3, [(3, 2)]))
    assert torch.equal(scoring.scores(), before)
