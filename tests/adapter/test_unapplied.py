"""A training that ends with all its ranks says so."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel

from tests.support.adapters import adapted_bert, labels, optimizer_of, tokens

PRUNED: dict[str, Any] = {"k": 4, "r": 5, "target_rank": 2}
ENDS: dict[str, Callable[[PeftModel, Path], object]] = {
    "evaluation": lambda model, folder: model.eval(),
    "saving": lambda model, folder: model.save_pretrained(str(folder)),
    "merging": lambda model, folder: model.merge_and_unload(),
}


def trained(budget: bool = False, **settings: Any) -> PeftModel:
    model = adapted_bert(**{**PRUNED, **settings}).train()
    if budget:
        model.base_model.set_total_steps(1)
    optimizer = optimizer_of(model)
    model(tokens(), labels=labels()).loss.backward()
    optimizer.step()
    if budget:
        model.base_model.update_and_allocate(1)
    return model


@pytest.mark.parametrize("end", ENDS)
def test_a_training_whose_budget_was_never_applied_warns_once_at_its_end(
    end: str, tmp_path: Path
) -> None:
    model = trained()
    with pytest.warns(
        UserWarning, match="keeps 60 singular values in 12 matrices, not 2 in each"
    ) as told:
        ENDS[end](model, tmp_path / "one")
    assert len(told) == 1 and "Lora2Callback()" in str(told[0].message)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*rank budget")
        model.eval()


@pytest.mark.parametrize(
    "silent",
    [
        lambda: adapted_bert(**PRUNED),  # it was never trained
        lambda: trained(budget=True, t_init=0, t_final=0),
        lambda: trained(target_rank=None),
        lambda: trained(scoring="none"),
    ],
    ids=["untrained", "applied", "no target", "no scoring"],
)
def test_others_do_not_warn(silent: Callable[[], PeftModel], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*rank budget")
        model = silent()
        model.save_pretrained(str(tmp_path / "one"))
        model.eval()
