"""Text to generate: a language model is judged by the answers that it writes."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...config import LanguageConfig
from ...errors import UserError
from ..data.prompts import IGNORED
from ..data.tokens import Encoded, longest_first, of_equal_area, of_like_length
from .answers import answer_in, is_same
from .completion import (
    Completion,
    next_tokens,
    padded,
    takes,
    token_losses,
    transformers_model,
)
from .kind import Columns


@dataclass(frozen=True)
class GeneratedPredictions:
    """What a model says of a split.

    Attributes:
        prompts: Of each example, ``[n]``.
        answers: The right one of each, ``[n]``.
        generated: What was generated, ``[n]``; empty texts where nothing was.
        matched: Whether that gives the right answer, ``[n]``.
        losses: Sum of -ln p over the tokens that are learnt, ``[n]`` float64.
        tokens: How many these are, ``[n]``.
        hits: How many of them are the likeliest one at their place, ``[n]``.
        decoded: Whether anything was generated.
    """

    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    generated: tuple[str, ...]
    matched: NDArray[np.bool_]
    losses: NDArray[np.float64]
    tokens: NDArray[np.int64]
    hits: NDArray[np.int64]
    decoded: bool

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def is_finite(self) -> bool:
        """Whether every loss is finite."""
        return bool(np.isfinite(self.losses).all())

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is right; without answers, whether all its tokens are."""
        return self.matched if self.decoded else (self.hits == self.tokens) & (self.tokens > 0)

    def scores(self, metrics: tuple[str, ...]) -> dict[str, float]:
        """Return the metrics by name.

        ``loss`` is the mean of -ln p over all tokens that are learnt, ``perplexity`` e to its
        power, ``token_accuracy`` the share of these tokens that are the likeliest,
        ``exact_match`` the share of right answers. All are NaN where a loss is not finite;
        without a token to learn, only ``exact_match`` is defined.
        """
        found = {"exact_match": float(self.matched.mean())} if self.decoded else {}
        if count := int(self.tokens.sum()):
            loss = float(self.losses.sum() / count)
            # From e^700 on a float ends.
            found |= {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}
            found["token_accuracy"] = float(self.hits.sum() / count)
        if not self.is_finite:
            found = dict.fromkeys(found, math.nan)
        return {name: found[name] for name in metrics if name in found}

    def only(self, rows: NDArray[np.bool_]) -> GeneratedPredictions:
        """Return the predictions for some of the examples."""

        def texts(column: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(column[row] for row in np.flatnonzero(rows))

        return GeneratedPredictions(
            texts(self.prompts),
            texts(self.answers),
            texts(self.generated),
            self.matched[rows],
            self.losses[rows],
            self.tokens[rows],
            self.hits[rows],
            self.decoded,
        )

    def columns(self) -> Columns:
        """Return ``label`` (1) and ``prediction`` (1 for a right answer), the texts and losses."""
        return {
            "label": np.ones(len(self)),
            "prediction": np.where(np.isfinite(self.losses), self.right, np.nan),
            "prompt": self.prompts,
            "answer": self.answers,
            "generated": self.generated,
            "loss": self.losses,
            "tokens": self.tokens,
        }


@dataclass(frozen=True)
class Generation(Completion):
    """Text to generate.

    Attributes:
        language: How an answer is generated and judged.
    """

    language: LanguageConfig
    name: Literal["generation"] = "generation"

    def shortened(self) -> Generation:
        """Return the same kind, which generates one token at most."""
        most = min(1, self.language.max_new_tokens)
        return replace(self, language=self.language.model_copy(update={"max_new_tokens": most}))

    @torch.no_grad()
    def predict(self, model: nn.Module, split: Encoded, batch_size: int) -> GeneratedPredictions:
        """Return losses and generated answers for a split, in its own order, dropout off."""
        training = model.training
        model.eval()
        try:
            losses, hits = self._losses(model, split, batch_size)
            decoded = self.language.max_new_tokens > 0
            texts = self._generated(model, split, batch_size) if decoded else [""] * len(split)
        finally:
            model.train(training)
        prompts = tuple(prompt for prompt, _ in split.texts)
        answers = tuple(answer for _, (answer,) in split.texts)
        pattern = self.language.answer
        right = [answer_in(answer, pattern) or answer for answer in answers]
        return GeneratedPredictions(
            prompts=prompts,
            answers=answers,
            generated=tuple(texts),
            matched=np.array(
                [is_same(answer_in(t, pattern), r) for t, r in zip(texts, right, strict=True)]
            ),
            losses=losses,
            tokens=split.learnt(),
            hits=hits,
            decoded=decoded,
        )

    def _losses(
        self, model: nn.Module, split: Encoded, batch_size: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        losses, hits = np.zeros(len(split)), np.zeros(len(split), dtype=np.int64)
        device = next(model.parameters()).device
        for rows in longest_first(split.lengths, batch_size):
            logits, targets = next_tokens(model, self.collate(split, rows).to(device))
            learnt = targets != IGNORED
            losses[rows] = token_losses(logits, targets).double().sum(dim=1).cpu().numpy()
            found = (logits.argmax(dim=-1) == targets) & learnt
            hits[rows] = found.sum(dim=1).cpu().numpy()
        return losses, hits

    def _generated(self, model: nn.Module, split: Encoded, batch_size: int) -> list[str]:
        found = generate(
            model,
            split.features["prompt"],
            pad=self.tokenizer.pad_token_id,
            ends=ends_of(model, self.tokenizer, self.masking.turn_end),
            most=self.language.max_new_tokens,
            batch_size=batch_size,
        )
        texts: list[str] = self.tokenizer.batch_decode(found, skip_special_tokens=True)
        return texts


def ends_of(model: Any, tokenizer: Any, turn_end: int | None = None) -> set[int]:
    """Return the tokens at which an answer ends.

    Args:
        model: What its generation configuration names is among them.
        tokenizer: Its end-of-sequence token is.
        turn_end: The end of the assistant's turn, which is another one in some chat templates.
    """
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    listed = named if isinstance(named, list) else [named]
    return {token for token in (*listed, tokenizer.eos_token_id, turn_end) if token is not None}


@torch.no_grad()
def generate(
    model: nn.Module,
    prompts: Sequence[list[int]],
    *,
    pad: int,
    ends: Collection[int],
    most: int,
    batch_size: int,
) -> list[list[int]]:
    """Return the tokens that follow each prompt: always the likeliest, whatever the model's files.

    Prompts of like length are read together; more of them, padded on the left, are continued
    together, with a cache of keys and values.

    Args:
        model: In evaluation mode.
        prompts: Tokens of each, ``[n]``; none is empty.
        pad: The padding token.
        ends: An answer ends before one of these.
        most: Tokens of an answer at most, 1 or more.
        batch_size: Prompts at a time, of the longest; more of shorter ones, in the same memory.

    Raises:
        UserError: The model keeps no keys and values.
    """
    if not takes(model, "past_key_values"):
        raise UserError(
            f"a {type(transformers_model(model)).__name__} generates nothing here: it keeps no "
            "keys and values of the tokens that it has read, as attention does"
        )
    found: list[list[int]] = [[] for _ in prompts]
    lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
    for rows in of_equal_area(lengths + most, batch_size):
        batch = [prompts[row] for row in rows]
        for row, answer in zip(rows, _batch(model, batch, pad, ends, most), strict=True):
            found[row] = answer
    return found


def _batch(
    model: nn.Module, prompts: Sequence[list[int]], pad: int, ends: Collection[int], most: int
) -> list[list[int]]:
    """Return the answers to prompts, which come the longest first."""
    lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
    places = of_like_length(lengths) if _joins(model) else [range(len(prompts))]
    parts = [_read(model, [prompts[place] for place in part], pad) for part in places]
    return [answer for part in _joined(parts) for answer in _answers(model, part, ends, most)]


def _joins(model: nn.Module) -> bool:
    """Whether what a model keeps can be joined: no window, no state that is read in order."""
    from transformers import DynamicCache

    return _is_plain(DynamicCache(config=transformers_model(model).config))


def _is_plain(cache: Any) -> bool:
    """Whether a cache holds keys and values alone, of all positions."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    plain = type(cache) is DynamicCache
    return plain and all(type(layer) is DynamicLayer for layer in cache.layers)


@dataclass(frozen=True)
class _Read:
    """Prompts that a model has read.

    Attributes:
        mask: Which positions are no padding, ``[b, t]``; padding is on the left.
        next: The likeliest token after each, ``[b, 1]``.
        cache: Their keys and values.
    """

    mask: Tensor
    next: Tensor
    cache: Any

    def can_be_joined(self) -> bool:
        """Whether its cache is plain, and each layer of it as long as the mask."""
        layers = self.cache.layers if _is_plain(self.cache) else ()
        return bool(layers) and all(
            layer.get_seq_length() == self.mask.shape[1] for layer in layers
        )


def _read(model: nn.Module, prompts: Sequence[list[int]], pad: int) -> _Read:
    tokens, mask = padded(prompts, pad, left=True)
    device = next(model.parameters()).device
    tokens, mask = tokens.to(device), mask.to(device)
    places = (mask.cumsum(dim=1) - 1).clamp(min=0)  # [b, t]: padding has no place of its own
    return _forward(model, tokens, mask, places, None)


def _forward(model: nn.Module, tokens: Tensor, mask: Tensor, places: Tensor, cache: Any) -> _Read:
    kept = {"logits_to_keep": 1} if takes(model, "logits_to_keep") else {}
    output = model(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=places,
        past_key_values=cache,
        use_cache=True,
        **kept,
    )
    return _Read(mask, output.logits[:, -1:].argmax(dim=-1), output.past_key_values)


def _joined(parts: list[_Read]) -> list[_Read]:
    """Join prompts into one batch, padded on the left; not where a cache is of another kind.

    A step of decoding reads all weights, however few the rows: one large batch takes less time.
    """
    from transformers import DynamicCache

    if len(parts) == 1 or not all(part.can_be_joined() for part in parts):
        return parts
    width = max(part.mask.shape[1] for part in parts)

    def wide(states: Tensor) -> Tensor:
        """Pad ``[b, heads, t, d]`` to the width."""
        return nn.functional.pad(states, (0, 0, width - states.shape[2], 0))

    cache = DynamicCache()
    for place, layers in enumerate(zip(*(part.cache.layers for part in parts), strict=True)):
        keys = torch.cat([wide(layer.keys) for layer in layers])
        cache.update(keys, torch.cat([wide(layer.values) for layer in layers]), place)
        for layer in layers:
            layer.reset()  # what is joined is not kept twice
    masks = [nn.functional.pad(part.mask, (width - part.mask.shape[1], 0)) for part in parts]
    return [_Read(torch.cat(masks), torch.cat([part.next for part in parts]), cache)]


def _answers(model: nn.Module, read: _Read, ends: Collection[int], most: int) -> list[list[int]]:
    answers: list[list[int]] = [[] for _ in read.mask]
    open_rows = set(range(len(answers)))
    places = read.mask.sum(dim=1, keepdim=True)  # [b, 1]
    while True:
        for row, token in enumerate(read.next[:, 0].tolist()):
            if row not in open_rows:
                continue
            if token not in ends:
                answers[row].append(token)
            if token in ends or len(answers[row]) == most:
                open_rows.discard(row)
        if not open_rows:
            return answers
        mask = torch.cat([read.mask, read.mask.new_ones(len(answers), 1)], dim=1)
        read = _forward(model, read.next, mask, places, read.cache)
        places = places + 1
