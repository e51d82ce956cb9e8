"""What a run on conversations leaves beside its weights: its chat template, in its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config import RunConfig, with_settings
from ...store import write_text
from ..data.prompts import chat_template, turn_end
from ..models.load import own_tokenizer

# As transformers names it.
CHAT_TEMPLATE_FILE = "chat_template.jinja"


@dataclass(frozen=True)
class Chat:
    """How a run on conversations renders them.

    Attributes:
        template: Its chat template; ``None`` for the tokenizer's own, and of other runs.
        turn_end: The token that ends the assistant's turn, if there is one.
    """

    template: str | None
    turn_end: int | None

    def save(self, folder: Path) -> None:
        """Write the template where PEFT and transformers expect it."""
        if self.template is not None:
            write_text(folder / CHAT_TEMPLATE_FILE, self.template)


def chat_of(tokenizer: Any, config: RunConfig) -> Chat:
    """Return how a run renders conversations.

    Raises:
        ConfigError: The chat template cannot be read or used.
    """
    return Chat(chat_template(tokenizer, config), turn_end(tokenizer, config))


def as_trained(config: RunConfig, folder: Path) -> RunConfig:
    """Return a run's settings with the chat template that it kept, whose file may have changed.

    Args:
        config: The run.
        folder: Its ``adapter`` folder; those of earlier versions hold no template.
    """
    kept = folder / CHAT_TEMPLATE_FILE
    if config.data.messages is None or not kept.is_file():
        return config
    return with_settings(config, {"language.chat_template": str(kept.absolute())})


def tokenizer_of(config: RunConfig) -> Any:
    """Return the tokenizer as its files have it, with the chat template of the run.

    Raises:
        ConfigError: The tokenizer or the template cannot be read.
        UserError: The hub cannot be reached.
    """
    tokenizer = own_tokenizer(config.model)
    if (template := chat_template(tokenizer, config)) is not None:
        tokenizer.chat_template = template
    return tokenizer
