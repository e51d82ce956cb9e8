"""Options to choose from: the model prefers the one that it finds likeliest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...config import score
from ..data.prompts import IGNORED
from ..data.tokens import Encoded, longest_first
from .completion import Completion, next_tokens, padded, token_losses
from .kind import Batch, Columns


@dataclass(frozen=True)
class ChoicePredictions:
    """What a model says of every option of a split.

    Attributes:
        prompts: Of each example, ``[n]``.
        options: Of each example, in their order, ``[n]``.
        labels: Number of the right option, ``[n]`` float64.
        likelihoods: Sum of ln p over the tokens of every option, ``[n, most options]`` float64;
            minus infinity where an example has fewer.
    """

    prompts: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    labels: NDArray[np.float64]
    likelihoods: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_finite(self) -> bool:
        """Whether no likelihood is NaN."""
        return not bool(np.isnan(self.likelihoods).any())

    @property
    def values(self) -> NDArray[np.float64]:
        """Number of the likeliest option, ``[n]``; NaN where a likelihood is."""
        return self._likeliest(self.likelihoods)

    @property
    def normed_values(self) -> NDArray[np.float64]:
        """Number of the option that is likeliest per byte, ``[n]``."""
        most = self.likelihoods.shape[1]
        lengths = np.ones((len(self), most))
        for row, each in enumerate(self.options):
            lengths[row, : len(each)] = [len(option.encode()) for option in each]
        return self._likeliest(self.likelihoods / lengths)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the likeliest option is the right one, ``[n]``."""
        return self.values == self.labels

    def scores(self, metrics: tuple[str, ...]) -> dict[str, float]:
        """Return ``accuracy``, and ``accuracy_norm``, by the likelihood per byte of an option."""
        chosen = {"accuracy": self.values, "accuracy_norm": self.normed_values}
        found = {name: score("accuracy", self.labels, chosen[name]) for name in metrics}
        return {name: value for name, value in found.items() if value is not None}

    def only(self, rows: NDArray[np.bool_]) -> ChoicePredictions:
        """Return the predictions for some of the examples."""
        chosen = np.flatnonzero(rows)
        return ChoicePredictions(
            tuple(self.prompts[row] for row in chosen),
            tuple(self.options[row] for row in chosen),
            self.labels[rows],
            self.likelihoods[rows],
        )

    def columns(self) -> Columns:
        """Return ``label``, ``prediction``, the texts, and the likelihoods ``score_0`` ..."""
        scores = {f"score_{i}": column for i, column in enumerate(self.likelihoods.T)}
        texts = {"prompt": self.prompts, "options": ["\n".join(each) for each in self.options]}
        return {"label": self.labels, "prediction": self.values, **texts, **scores}

    def _likeliest(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        unknown = np.asarray(np.isnan(values).any(axis=1))
        chosen = np.where(unknown[:, None], 0.0, values).argmax(axis=1)
        return np.where(unknown, np.nan, chosen)


@dataclass(frozen=True)
class Choice(Completion):
    """Options to choose from; the right one is learnt as a completion."""

    name: Literal["choice"] = "choice"

    @torch.no_grad()
    def predict(self, model: nn.Module, split: Encoded, batch_size: int) -> ChoicePredictions:
        """Return the likelihoods of all options of a split, in its own order, dropout off."""
        training = model.training
        model.eval()
        counts = [len(each) for _, each in split.texts]
        owners = [(row, number) for row, count in enumerate(counts) for number in range(count)]
        places = {pair: index for index, pair in enumerate(owners)}
        flat = np.zeros(len(owners))
        device = next(model.parameters()).device
        features = split.features
        lengths = np.array([len(features[f"option_{j}"][i]) for i, j in owners], dtype=np.int64)
        for rows in longest_first(lengths, batch_size):
            chosen = [owners[row] for row in rows]
            tokens = [features[f"option_{j}"][i] for i, j in chosen]
            starts = [features["starts"][i][j] for i, j in chosen]
            logits, targets = next_tokens(model, self._scored(tokens, starts).to(device))
            flat[rows] = -token_losses(logits, targets).double().sum(dim=1).cpu().numpy()
        model.train(training)
        likelihoods = np.full((len(split), max(counts)), -np.inf)
        for pair, index in places.items():
            likelihoods[pair] = flat[index]
        prompts = tuple(prompt for prompt, _ in split.texts)
        options = tuple(each for _, each in split.texts)
        return ChoicePredictions(prompts, options, split.labels, likelihoods)

    def _scored(self, tokens: list[list[int]], starts: list[int]) -> Batch:
        inputs, mask = padded(tokens, self.tokenizer.pad_token_id)
        targets = [[IGNORED] * at + row[at:] for row, at in zip(tokens, starts, strict=True)]
        return Batch({"input_ids": inputs, "attention_mask": mask}, padded(targets, IGNORED)[0])
