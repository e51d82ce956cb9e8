"""Splits: what is trained on, chosen on and only reported; decided by ``split_seed`` alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...config import DataConfig, RunConfig
from ...errors import ConfigError, Problem
from ..seeds import named_seed


@dataclass(frozen=True)
class Split:
    """Sentences and labels.

    Attributes:
        texts: One or two columns of ``n`` strings.
        labels: Class numbers or values, ``[n]`` float64.
        places: Where each example stands, ``[n]``: ``line 3 of rows.csv``.
    """

    texts: tuple[tuple[str, ...], ...]
    labels: NDArray[np.float64]
    places: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def place(self, row: int) -> str:
        """Return where an example (from 0) stands."""
        return self.places[row] if self.places else f"example {row + 1}"


def split_up(tables: dict[str, Split], config: RunConfig) -> dict[str, Split]:
    """Return ``train``, ``validation``, ``test`` and further test sets.

    ``validation`` is cut from ``train``, unless it is a table of its own.

    Raises:
        ConfigError: A slice would leave nothing to train on.
    """
    data = config.data
    if "all" in tables:
        test, train = _cut(tables["all"], data.test_size, data.split_seed, "test", "data.test_size")
        splits = {"train": train, "test": test}
    else:
        splits = dict(tables)
    if config.protocol == "paper":
        splits["validation"] = splits["test"]
    elif "validation" not in splits:
        chosen, train = _cut(
            splits["train"],
            data.validation_size,
            data.split_seed,
            "validation",
            "data.validation_size",
        )
        splits |= {"train": train, "validation": chosen}
    splits["train"] = _head(splits["train"], data)
    return splits


def _cut(split: Split, size: int | float, seed: int, name: str, key: str) -> tuple[Split, Split]:
    count = size if isinstance(size, int) else max(1, round(size * len(split)))
    if count >= len(split) - 1:
        message = f"leaves nothing to train on: {count} of {len(split)} rows; make it smaller"
        raise ConfigError([Problem(key, message)])
    order = np.random.default_rng(named_seed(seed, "split", name)).permutation(len(split))
    return _take(split, np.sort(order[:count])), _take(split, np.sort(order[count:]))


def _head(train: Split, data: DataConfig) -> Split:
    if data.train_size is None:
        return train
    size = data.train_size
    count = size if isinstance(size, int) else max(2, round(size * len(train)))
    if count >= len(train):
        return train
    order = np.random.default_rng(named_seed(data.split_seed, "split", "train"))
    return _take(train, np.sort(order.permutation(len(train))[:count]))


def _take(split: Split, rows: NDArray[np.int64]) -> Split:
    texts = tuple(tuple(column[row] for row in rows) for column in split.texts)
    places = tuple(split.places[row] for row in rows) if split.places else ()
    return Split(texts, split.labels[rows], places)


def hash_of(splits: dict[str, Split]) -> str:
    """Return a sha256 over all texts, labels and the split they are in."""
    digest = hashlib.sha256()
    for name in sorted(splits):
        split = splits[name]
        digest.update(name.encode() + len(split).to_bytes(8, "big"))
        for column in split.texts:
            digest.update("\x1f".join(column).encode() + b"\x1e")
        digest.update(split.labels.tobytes())
    return digest.hexdigest()
