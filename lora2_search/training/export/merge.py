"""A run's whole model, its adapter merged into the weights, as files that transformers loads."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...adapter import is_quantized, read_weight, write_weight
from ...config import RunConfig
from ...errors import UserError, first_line
from ...store import ADAPTER_FOLDER, RunRecord, write_text
from ..data.prompts import turn_end
from ..kinds.generation import ends_of
from ..models.load import Base, load_base
from .adapter import check_new
from .card import adapter_card, is_language
from .chat import as_trained, chat_of, tokenizer_of
from .reload import reload_model


@dataclass(frozen=True)
class Merged:
    """The result of a merge.

    Attributes:
        folder: Where the model lies.
        parameters: Of the whole model.
        size: Of its weights on disk, in bytes.
        is_language: Whether it is a causal language model.
    """

    folder: Path
    parameters: int
    size: int
    is_language: bool


def export_merged(record: RunRecord, folder: Path, out: Path) -> Merged:
    """Write the model that a run ended with, as safetensors and with its tokenizer.

    Of a base in 4 bits the weights are what these bits stand for, in ``model.dtype``: the adapter
    was trained beside them, not beside the weights that they were made of.

    Args:
        record: Of the run, which is complete.
        folder: The run's folder.
        out: The new folder; must not exist or be empty.

    Raises:
        Damaged: What the run trained is missing or cannot be loaded.
        UserError: Nothing was trained, PEFT cannot merge it, an adapted weight is tied to another,
            or ``out`` is in use.
    """
    config = as_trained(RunConfig.model_validate(record.config), folder / ADAPTER_FOLDER)
    if config.method == "no-training":
        raise UserError("this run trained nothing (method no-training): use the model as it is")
    check_new(out)
    outputs = None if config.is_language else max(1, len(record.classes))
    base = _unpacked(config, load_base(config.model, outputs, not record.classes))
    model = _merged(reload_model(base, config, folder / ADAPTER_FOLDER))
    if record.classes:
        model.config.id2label = dict(enumerate(record.classes))
        model.config.label2id = {name: index for index, name in enumerate(record.classes)}
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_of(config)
    if config.is_language:
        _end_answers(model, tokenizer, config)
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))
    pair = len(config.data.text or ()) == 2
    chat = chat_of(tokenizer, config)
    card = adapter_card(record, str(out.absolute()), pair=pair, form="full", chat=chat)
    write_text(out / "README.md", card)
    return Merged(
        folder=out,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        size=sum(path.stat().st_size for path in out.glob("*.safetensors")),
        is_language=is_language(record),
    )


def _end_answers(model: Any, tokenizer: Any, config: RunConfig) -> None:
    """Let ``generate`` end an answer where decoding here ends it."""
    end = turn_end(tokenizer, config)
    ends = ends_of(model, tokenizer, end)
    if end is not None and end not in ends_of(model, tokenizer):
        model.generation_config.eos_token_id = sorted(ends)


@torch.no_grad()
def _unpacked(config: RunConfig, base: Base) -> Base:
    """Return the base without 4-bit weights: plain ones that are equal to them."""
    if config.model.quantization is None:
        return base
    plain = load_base(config.model.model_copy(update={"quantization": None}), None)
    own = copy.deepcopy(plain.model)
    layers = dict(own.named_modules())
    for name, module in base.model.named_modules():
        if isinstance(module, nn.Linear) and is_quantized(module):
            write_weight(layers[name], read_weight(module))
    return replace(plain, model=own)


def _merged(model: Any) -> Any:
    if not hasattr(model, "peft_config"):
        return model
    _check_untied(model)
    try:
        return model.merge_and_unload(safe_merge=True)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        kind = next(iter(model.peft_config.values())).peft_type
        name = getattr(kind, "value", kind)
        raise UserError(f"PEFT's {name} cannot be merged: {first_line(error)}") from None


def _check_untied(model: Any) -> None:
    """Refuse an adapter on a weight that another module uses too: merged, it would change both."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    users: dict[int, set[str]] = {}
    for name, module in model.named_modules():
        for weight in module.parameters(recurse=False):
            users.setdefault(id(weight), set()).add(name.removesuffix(".base_layer"))
    for name, module in model.named_modules():
        if isinstance(module, BaseTunerLayer):
            others = users.get(id(module.get_base_layer().weight), set()) - {name}
            if others:
                raise UserError(
                    f"{name.removeprefix('base_model.model.')} is adapted, but its weight is also "
                    f"that of {min(others).removeprefix('base_model.model.')}: merged, the adapter "
                    "would change both; export it as a LoRA instead"
                )
