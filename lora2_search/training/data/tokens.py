"""Tokenise once, keep on disk, and batch sentences of like length together."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import first_line
from ...store import home, set_aside
from ..seeds import named_seed
from .load import Data
from .reading.table import shown
from .splits import Split
from .wrong import Wrong, WrongRows


@dataclass(frozen=True)
class Encoded:
    """A tokenised split.

    Attributes:
        features: By input name (``input_ids`` ...), a list of ``n`` lists of token numbers.
        labels: ``[n]`` float64.
        lengths: Tokens of each example, ``[n]``.
        texts: Of a language model, each example's prompt and right answer (of a choice all
            options), ``[n]``.
    """

    features: dict[str, list[list[int]]]
    labels: NDArray[np.float64]
    lengths: NDArray[np.int64]
    texts: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, indices: list[int]) -> list[dict[str, list[int]]]:
        """Return the examples of a batch, one mapping of token lists each."""
        return [{name: column[i] for name, column in self.features.items()} for i in indices]

    def only(self, index: int) -> Encoded:
        """Return one example as a split of its own."""
        features = {name: [column[index]] for name, column in self.features.items()}
        texts = self.texts[index : index + 1]
        return Encoded(features, self.labels[[index]], self.lengths[[index]], texts)

    def learnt(self, rows: Sequence[int] | None = None) -> NDArray[np.int64]:
        """Return how many tokens of each example a language model learns, ``[n]``.

        Never the first one: nothing predicts it.

        Args:
            rows: Which examples; by default all.
        """
        targets = self.features["targets"]
        chosen = targets if rows is None else [targets[row] for row in rows]
        counts = [sum(target >= 0 for target in row[1:]) for row in chosen]
        return np.array(counts, dtype=np.int64)


def encode(data: Data, tokenizer: Any, max_length: int) -> dict[str, Encoded]:
    """Tokenise all splits; a split tokenised before with the same tokenizer is read from disk."""
    identity = _identity(tokenizer, max_length)
    return {
        name: _encode(split, tokenizer, max_length, identity) for name, split in data.splits.items()
    }


def train_batches(lengths: NDArray[np.int64], size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the batches of one epoch: shuffled, with like lengths together.

    Fifty batches' worth of shuffled examples are sorted by length and cut, and the batches are
    shuffled again. Depends on the arguments alone, so any position can be found again.

    Args:
        lengths: Tokens of each example, ``[n]``.
        size: Examples per batch; the last one may be smaller.
        seed: The run's seed.
        epoch: From 0.
    """
    rng = np.random.default_rng(named_seed(seed, "order", epoch))
    order = rng.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), size * 50):
        pool = order[start : start + size * 50]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[at : at + size].tolist() for at in range(0, len(pool), size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def eval_batches(lengths: NDArray[np.int64], size: int) -> Iterator[list[int]]:
    """Yield batches in order of length, so that little is padded."""
    order = np.argsort(lengths, kind="stable")
    for at in range(0, len(order), size):
        yield order[at : at + size].tolist()


def longest_first(lengths: NDArray[np.int64], size: int) -> list[list[int]]:
    """Return the same batches, the longest first: memory that does not suffice fails at once."""
    return [*eval_batches(lengths, size)][::-1]


def of_equal_area(lengths: NDArray[np.int64], size: int) -> Iterator[list[int]]:
    """Yield batches of like length, the longest first, of ``size`` rows and the later ones of more.

    None holds more positions, padding included, than the first would with ``size`` rows, nor more
    than four times as many rows: each has logits of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    area = size * int(lengths.max(initial=0))
    while len(order):
        count = min(area // int(lengths[order[0]]), 4 * size)
        yield order[:count].tolist()
        order = order[count:]


def of_like_length(lengths: NDArray[np.int64]) -> Iterator[list[int]]:
    """Yield batches of neighbours, none shorter than seven eighths of its batch's longest.

    Args:
        lengths: The longest first, ``[n]``.
    """
    start = 0
    while start < len(lengths):
        count = int((8 * lengths[start:] >= 7 * lengths[start]).sum())
        yield [*range(start, start + count)]
        start += count


def _encode(split: Split, tokenizer: Any, max_length: int, identity: str) -> Encoded:
    digest = hashlib.sha256(identity.encode())
    for column in split.texts:
        digest.update("\x1f".join(column).encode() + b"\x1e")
    path = home() / "tokens" / f"{digest.hexdigest()[:32]}.parquet"
    features = _read(path, len(split))
    if features is None:
        try:
            output = tokenizer(*map(list, split.texts), truncation=True, max_length=max_length)
        except Exception:  # whatever the tokenizer's own library raises
            _check_each(split, tokenizer)
            raise
        features = {name: [list(row) for row in rows] for name, rows in output.items()}
        _write(path, features)
    lengths = np.array([len(row) for row in features["input_ids"]], dtype=np.int64)
    return Encoded(features, split.labels, lengths)


def _check_each(split: Split, tokenizer: Any) -> None:
    """Raise ``ConfigError`` with the rows whose texts the tokenizer cannot encode."""
    wrong = WrongRows("data.text")
    for number, row in enumerate(zip(*split.texts, strict=True)):
        with wrong.row(split.place(number)):
            for text in row:
                try:
                    tokenizer(text)
                except Exception as error:
                    raise not_encoded(text, error) from None
    wrong.check()


def not_encoded(text: str, error: Exception) -> Wrong:
    """Return what is wrong with a text on which a tokenizer fails."""
    return Wrong(f"the tokenizer cannot encode {shown(text)}: {first_line(error)}")


def _read(path: Path, rows: int) -> dict[str, list[list[int]]] | None:
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path) if path.is_file() else None
    except (OSError, ValueError):  # damaged: it is written anew
        return None
    if table is None or table.num_rows != rows or "input_ids" not in table.column_names:
        return None
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _write(path: Path, features: dict[str, list[list[int]]]) -> None:
    import pyarrow

    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    pyarrow.parquet.write_table(pyarrow.table(features), temporary)
    if path.is_dir():
        set_aside(path)
    os.replace(temporary, path)


def _identity(tokenizer: Any, max_length: int) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return f"{max_length}/{tokenizer.__class__.__name__}/{backend.to_str()}"
    vocabulary = json.dumps(tokenizer.get_vocab(), sort_keys=True)
    return f"{max_length}/{tokenizer.__class__.__name__}/{vocabulary}"
