"""Which object a language model's task is judged by."""

from __future__ import annotations

from typing import Any

from ...config import RunConfig
from ..data.prompts import Masking
from .choice import Choice
from .generation import Generation


def language_kind(config: RunConfig, tokenizer: Any, masking: Masking) -> Choice | Generation:
    """Return the kind of task of a run on prompts.

    Args:
        config: The run.
        tokenizer: Of the model.
        masking: What is learnt of its examples.
    """
    if config.kind == "choice":
        return Choice(tokenizer, masking)
    return Generation(tokenizer, masking, config.language)
