"""Which modules of a classifier are trained whole, beside what adapts its encoder."""

from __future__ import annotations

from typing import Any

from ..model_types import MODULES_TO_SAVE


def heads_of(model: Any, model_type: str) -> list[str]:
    """Return their names: pooler, classifier; for an unknown type, all beside the encoder."""
    if model_type in MODULES_TO_SAVE:
        return list(MODULES_TO_SAVE[model_type])
    return [
        name
        for name, module in model.named_children()
        if name != model.base_model_prefix and any(True for _ in module.parameters())
    ]
