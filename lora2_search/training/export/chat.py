"""What a run on conversations leaves beside its weights: its chat template, in its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...config import RunConfig, with_settings
from ...store import write_text
from ..data.prompts import named_template
from ..models.load import own_tokenizer

# As transformers names it.
CHAT_TEMPLATE_FILE = "chat_template.jinja"


def save_chat_template(config: RunConfig, folder: Path) -> None:
    """Keep the chat template that a run names, whose file may change, beside its adapter.

    Raises:
        ConfigError: The file cannot be read or is not a Jinja template.
    """
    if (template := named_template(config)) is not None:
        write_text(folder / CHAT_TEMPLATE_FILE, template)


def as_trained(config: RunConfig, folder: Path) -> RunConfig:
    """Return a run's settings with the chat template that it kept.

    Args:
        config: The run.
        folder: Its ``adapter`` folder; those of earlier versions hold no template.
    """
    kept = folder / CHAT_TEMPLATE_FILE
    if config.language.chat_template is None or not kept.is_file():
        return config
    return with_settings(config, {"language.chat_template": str(kept.absolute())})


def tokenizer_of(config: RunConfig) -> Any:
    """Return the tokenizer as its files have it, with the chat template of the run.

    Raises:
        ConfigError: The tokenizer or the template cannot be read.
        UserError: The hub cannot be reached.
    """
    tokenizer = own_tokenizer(config.model)
    if (template := named_template(config)) is not None:
        tokenizer.chat_template = template
    return tokenizer
