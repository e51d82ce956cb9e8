"""Whether a model can be kept and trained in the way that a run asks for; no weights are loaded."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...config import RunConfig
from ...errors import Problem
from .headers import CONFIG_FILE


def unable(config: RunConfig, folder: Path) -> Iterator[Problem]:
    """Yield what a model, or this installation, cannot do of what a run asks for.

    Args:
        config: The run.
        folder: Where the model's ``config.json`` is.
    """
    told: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    if config.model.quantization is not None:
        yield from _unquantizable(config, told)
    if config.model.attention == "flash_attention_2" and find_spec("flash_attn") is None:
        yield Problem(
            "model.attention",
            "flash_attention_2 needs the package flash-attn, which is not installed; install it, "
            "or take sdpa",
        )
    if config.model.trust_remote_code:
        return  # of code of its own nothing is known before it is loaded
    again = config.training.gradient_checkpointing
    generates = config.kind == "generation" and not config.is_judged_by_tokens
    if not (again or generates):
        return  # transformers is not imported for nothing
    model_type = told.get("model_type")
    architecture = _class_of(config, model_type)
    if architecture is None or not isinstance(model_type, str):
        return  # transformers says so when the model is loaded
    if again:
        yield from _uncheckpointed(config, architecture, model_type)
    if generates:
        yield from _undecodable(config, architecture, model_type)


def _unquantizable(config: RunConfig, told: dict[str, Any]) -> Iterator[Problem]:
    key, wanted = "model.quantization", config.model.quantization
    if find_spec("bitsandbytes") is None:
        yield Problem(
            key,
            f"{wanted} needs the package bitsandbytes, which is not installed; "
            "pip install bitsandbytes, or leave it out",
        )
    held = told.get("quantization_config")
    if isinstance(held, dict):
        how = held.get("quant_method", "some other way")
        message = f"{config.model.name_or_path} is quantised already ({how}); name the plain model"
        yield Problem(key, message)


def _class_of(config: RunConfig, model_type: object) -> Any:
    """Return transformers' class of the model; ``None`` where it has none."""
    from transformers import (
        CONFIG_MAPPING,
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    )

    classes = (
        MODEL_FOR_CAUSAL_LM_MAPPING
        if config.is_language
        else MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
    )
    if model_type not in CONFIG_MAPPING or CONFIG_MAPPING[model_type] not in classes:
        return None
    return classes[CONFIG_MAPPING[model_type]]


def _uncheckpointed(config: RunConfig, architecture: Any, model_type: str) -> Iterator[Problem]:
    if not architecture.supports_gradient_checkpointing:
        yield Problem(
            "training.gradient_checkpointing",
            f"{config.model.name_or_path} ({model_type}) cannot compute its activations again; "
            "leave it out, and lower training.batch_size in its place",
        )


# Decoders of encoder-decoders: prompts of a batch are padded on the left, and these count the
# padding as places.
_COUNT_PADDING = frozenset(
    "bart bigbird_pegasus blenderbot blenderbot-small marian mbart mvp pegasus plbart prophetnet "
    "trocr whisper".split()
)


def _undecodable(config: RunConfig, architecture: Any, model_type: str) -> Iterator[Problem]:
    if model_type in _COUNT_PADDING:
        yield Problem(
            "model.name_or_path",
            f"{config.model.name_or_path} ({model_type}) generates nothing here: its answers would "
            "depend on the other prompts of a batch, for it counts padding; take another model, or "
            "set language.max_new_tokens to 0",
        )
    if "past_key_values" not in inspect.signature(architecture.forward).parameters:
        yield Problem(
            "model.name_or_path",
            f"{config.model.name_or_path} ({model_type}) generates nothing here: it keeps no "
            "keys and values of the tokens that it has read, as attention does; take another "
            "model, or set language.max_new_tokens to 0",
        )
