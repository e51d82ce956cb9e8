"""Plain text that a model was not trained on: what it loses of it is what it forgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...errors import ConfigError, Problem, first_line
from ..data.prompts import IGNORED
from ..data.reading.file import read_file
from ..data.sources import check_columns
from ..data.tokens import eval_batches, not_encoded
from .completion import next_tokens, padded, token_losses
from .kind import Batch

_KEY = "language.forgetting"

# As many as PEFT's method comparison reads.
_MOST = 100


def read_texts(name: str) -> list[str]:
    """Return the first 100 texts of a file: of column ``text`` in jsonl, else between blank lines.

    Raises:
        ConfigError: It cannot be read or holds none.
    """
    if name.lower().endswith(".jsonl"):
        return _of_column(Path(name))
    try:
        whole = Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(_KEY, f"{name} cannot be read: {first_line(error)}")]) from None
    texts = [text.strip() for text in whole.replace("\r\n", "\n").split("\n\n")]
    texts = [text for text in texts if text][:_MOST]
    if not texts:
        message = f"{name} holds no text; write some, with a blank line between two of them"
        raise ConfigError([Problem(_KEY, message)])
    return texts


def readable_texts(name: str, tokenizer: Any) -> list[str]:
    """Return the texts of a file that a model can read.

    Args:
        name: The file; see `read_texts`.
        tokenizer: Of the model; texts of which it makes no token are left out.

    Raises:
        ConfigError: It cannot be read, holds no such text, or one that the tokenizer cannot encode.
    """
    texts = [text for text in read_texts(name) if _encodes(text, name, tokenizer)]
    if not texts:
        message = f"the tokenizer makes no token of any text of {name}"
        raise ConfigError([Problem(_KEY, message)])
    return texts


def _encodes(text: str, name: str, tokenizer: Any) -> bool:
    try:
        return bool(tokenizer(text)["input_ids"])
    except Exception as error:  # whatever the tokenizer's own library raises
        raise ConfigError([Problem(_KEY, f"{name}: {not_encoded(text, error)}")]) from None


def _of_column(path: Path) -> list[str]:
    table = read_file(path, _KEY)
    check_columns(table, {_KEY: "text"}, table.source)
    texts = [cell for cell in table.columns["text"].cells if cell and cell.strip()][:_MOST]
    if not texts:
        raise ConfigError([Problem(_KEY, f"no row of {path} has text in 'text'")])
    return texts


@torch.no_grad()
def text_loss(
    model: nn.Module, tokenizer: Any, texts: list[str], max_length: int, batch_size: int
) -> float:
    """Return the mean of -ln p over all tokens of some texts, dropout off.

    Args:
        model: A causal language model; its mode is as it was.
        tokenizer: Of the model.
        texts: At least one.
        max_length: Tokens of each that count, from its beginning.
        batch_size: Texts at a time.
    """
    rows = tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]
    training, device = model.training, next(model.parameters()).device
    model.eval()
    total, count = 0.0, 0
    try:
        for chosen in eval_batches(np.array([len(row) for row in rows]), batch_size):
            some = [rows[row] for row in chosen]
            inputs, mask = padded(some, tokenizer.pad_token_id)
            batch = Batch(
                {"input_ids": inputs, "attention_mask": mask}, padded(some, IGNORED)[0]
            ).to(device)
            logits, targets = next_tokens(model, batch)
            total += float(token_losses(logits, targets).double().sum())
            count += int((targets != IGNORED).sum())
    finally:
        model.train(training)
    return total / max(count, 1)
