"""What a run will learn, said before it begins: the labels, and texts that will be cut."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...config import LANGUAGE_KINDS, TASKS, DataConfig, RunConfig
from ...errors import listed
from ..models.files import model_location
from .load import Data
from .reading.table import shown
from .splits import Split
from .undefined import undefined

TOKENIZER_FILE = "tokenizer.json"

# So many texts are counted one by one; of more, a sample gives the share.
_COUNTED = 10_000

# A token takes at least one byte; a model adds a few special tokens to each text.
_ADDED = 8


def learnt(data: Data, config: RunConfig) -> list[str]:
    """Return what is learnt from the data, in plain sentences.

    Args:
        data: The splits, as loaded.
        config: The run.
    """
    if data.kind in LANGUAGE_KINDS:
        # What is cut and learnt is known once it is tokenised; see ``Masking``.
        return [*data.said, _sizes(data), *_seen(data)]
    label = config.data.label or TASKS[config.task].label
    labels = np.concatenate([split.labels for split in _once(data)])
    lines = [*data.said, _sizes(data), *_seen(data)]
    if data.kind == "regression":
        lines.append(_numbers(label, labels, config.data))
    else:
        lines.append(_classes(label, labels, data, config.data.test_path is not None))
        lines += _doubts(data)
    lines += undefined(data)
    if data.majority is not None:
        always = shown(data.commonest) if data.classes else "the mean"
        lines.append(f"Always {always} would score {data.metrics[0]} {data.majority:.4f} on test.")
    cut = cut_sentence(data, config)
    return [*lines, cut] if cut else lines


def _once(data: Data) -> Iterator[Split]:
    """Yield every split once: under the ``paper`` protocol validation is the test."""
    yield from {id(split): split for split in data.splits.values()}.values()


def _sizes(data: Data) -> str:
    names = ["train", "validation", "test", *sorted(data.splits)]
    order = [n for n in dict.fromkeys(names) if n == "train" or not _is_test(data, n)]
    counts = ", ".join(f"{name} {len(data.splits[name]):,}" for name in order)
    chosen = " Validation is the test split." if _is_test(data, "validation") else ""
    return f"Examples: {counts}.{chosen}"


def _is_test(data: Data, name: str) -> bool:
    return name != "test" and data.splits[name] is data.splits["test"]


def _seen(data: Data) -> Iterator[str]:
    """Say which examples are trained on too, and which texts have labels that differ."""
    trained = _rows(data.splits["train"])
    known = trained
    if not _is_test(data, "validation"):
        yield from _again("validation", data.splits["validation"], trained, "training examples")
        known = trained | _rows(data.splits["validation"])
    for name in sorted(data.splits.keys() - {"train", "validation"}):
        also = "training examples" if known is trained else "training or validation examples"
        yield from _again(name, data.splits[name], known, also)
    if data.classes:
        answers: dict[tuple[str, ...], float] = {}
        torn = set()
        for split in _once(data):
            for row, label in zip(zip(*split.texts, strict=True), split.labels, strict=True):
                if answers.setdefault(row, label) != label:
                    torn.add(row)
        if torn:
            yield (
                f"{len(torn):,} text{'s appear' if len(torn) > 1 else ' appears'} with different "
                "labels: no model gets all of these rows right."
            )


def _again(name: str, split: Split, known: set[tuple[str, ...]], also: str) -> Iterator[str]:
    count = sum(row in known for row in zip(*split.texts, strict=True))
    if count:
        yield (
            f"{count:,} of {len(split):,} {name} examples are also {also} (the same text): their "
            "score is not a held-out score."
        )


def _rows(split: Split) -> set[tuple[str, ...]]:
    return set(zip(*split.texts, strict=True))


def _numbers(label: str, labels: np.ndarray, data: DataConfig) -> str:
    told = (
        f"Label {label!r}: numbers from {labels.min():g} to {labels.max():g}, mean "
        f"{labels.mean():.3g}: regression."
    )
    if data.kind is None and (labels % 1 == 0).all():
        told += (
            f" They are {len(np.unique(labels))} different whole numbers; if they are classes, set "
            "data.kind to classification."
        )
    return told


def _classes(label: str, labels: np.ndarray, data: Data, two_files: bool) -> str:
    counts = np.bincount(labels.astype(np.int64), minlength=len(data.classes))
    order = np.argsort(-counts, kind="stable")[:8]
    shares = ", ".join(f"{data.classes[i]} {counts[i] / len(labels):.0%}" for i in order)
    more = len(data.classes) - len(order)
    both = ", of training and test file together" if two_files else ""
    told = f"Label {label!r}: {len(data.classes)} classes{both}: {shares}"
    told += f" and {more} more." if more > 0 else "."
    if "f1" in data.metrics and len(data.classes) == 2:
        told += f" f1 is that of {shown(data.classes[1])} (data.positive)."
    return told


def _doubts(data: Data) -> Iterator[str]:
    alike: dict[str, list[str]] = {}
    for name in data.classes:
        alike.setdefault(_printed(name).casefold(), []).append(name)
    for names in alike.values():
        if len({_printed(name) for name in names}) < len(names):
            both = " and ".join(map(ascii, names))
            yield (
                f"Classes {both} look alike (blanks, zero-width characters, accents): are they "
                "one class?"
            )
        elif len(names) > 1:
            both = " and ".join(map(shown, names))
            yield f"Classes {both} differ only in case or blanks: are they one class?"
    seen = set(np.unique(data.splits["train"].labels).astype(int))
    unseen = [name for index, name in enumerate(data.classes) if index not in seen]
    if unseen:
        yield f"Classes without a training example, never learnt: {listed(unseen)}."


def _printed(name: str) -> str:
    """Return a name as it looks: without zero-width characters, accents on their letters."""
    seen = "".join(sign for sign in name if unicodedata.category(sign) != "Cf")
    return unicodedata.normalize("NFC", " ".join(seen.split()))


def cut_sentence(data: Data, config: RunConfig) -> str | None:
    """Say how many texts have more tokens than ``data.max_length``; ``None`` where none has."""
    most = config.data.max_length
    texts = [parts for split in _once(data) for parts in zip(*split.texts, strict=True)]
    long = [parts for parts in texts if sum(len(p.encode()) for p in parts) > most - _ADDED]
    if not long:
        return None
    lengths, exact = _lengths(long, config)
    cut = round(len(long) * float(np.mean(lengths > most)))
    if not cut:
        return None
    about = "at least " if not exact else "about " if len(long) > _COUNTED else ""
    return (
        f"{about.capitalize()}{cut:,} of {len(texts):,} texts are longer than data.max_length="
        f"{most} tokens and are cut there; the longest has "
        f"{'' if exact else 'more than '}{lengths.max():,}."
    )


def _lengths(texts: list[tuple[str, ...]], config: RunConfig) -> tuple[np.ndarray, bool]:
    """Return the tokens of each text (of a sample where there are many); were they counted?

    Without a tokenizer that ``tokenizers`` reads, words are counted: never more than tokens.
    """
    if len(texts) > _COUNTED:
        rows = np.random.default_rng(0).choice(len(texts), _COUNTED, replace=False)
        texts = [texts[row] for row in np.sort(rows)]
    path = _tokenizer_file(config)
    if path is None:
        return np.array([sum(len(part.split()) for part in parts) for parts in texts]), False
    # Not transformers: it imports torch, and a study's driver stays small.
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encoded = tokenizer.encode_batch([p if len(p) > 1 else p[0] for p in texts])
    return np.array([len(item.ids) for item in encoded]), True


def _tokenizer_file(config: RunConfig) -> Path | None:
    location = model_location(config.model)
    path = Path(location) / TOKENIZER_FILE
    if Path(location).is_dir():
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(location, TOKENIZER_FILE, revision=config.model.revision)
    return Path(cached) if isinstance(cached, str) else None
