"""A tiny language model, and short runs of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora2_search.config.run import RunConfig


def settings(folder: Path, path: Path, **more: Any) -> RunConfig:
    data: dict[str, Any] = {
        "model": {"name_or_path": str(folder)},
        "data": {"path": str(path), "kind": "generation", "max_length": 40},
        "adapter": {"k": 4, "r": 2, "target_rank": 1, "t_final": 0.2},
        "training": {"steps": 6, "batch_size": 8, "evaluations": 2, "lr": 1e-2},
        "language": {"max_new_tokens": 3},
    }
    for key, value in more.items():
        section, _, name = key.partition("__")
        if name:
            data[section][name] = value
        else:
            data[section] = value
    return RunConfig.model_validate(data)


SPECIAL = ["[PAD]", "[UNK]", "[END]"]


def save_llama(
    folder: Path,
    words: list[str],
    chat: str | None = None,
    width: int = 32,
    more_special: tuple[str, ...] = (),
) -> None:
    """Save a random Llama with tied embeddings that knows some words, and its tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    known = [*SPECIAL, *words, *more_special]
    vocabulary = {word: index for index, word in enumerate(known)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "[END]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    if more_special:
        tokenizer.add_special_tokens({"additional_special_tokens": list(more_special)})
    tokenizer.chat_template = chat
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        eos_token_id=2,
        pad_token_id=0,
        bos_token_id=None,
        initializer_range=0.2,  # or frozen embeddings would bound every logit near 0
    )
    LlamaForCausalLM(shape).save_pretrained(folder)


def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Return the list of the prompts that are answered from now on."""
    from lora2_search.training.export import language

    given: list[list[int]] = []
    own = language.generate

    def seen(model: Any, prompts: Any, **named: Any) -> Any:
        given.extend(prompts)
        return own(model, prompts, **named)

    monkeypatch.setattr(language, "generate", seen)
    return given
