"""Whether a model's files fit the run and its data, found without torch from their headers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...config import RunConfig
from ...errors import ConfigError, Problem
from .headers import (
    TOKENIZER_FILE,
    Architecture,
    Shapes,
    highest_token,
    read_tokenizer,
    weight_shapes,
    zeroed_weights,
)

if TYPE_CHECKING:
    from ..data.load import Data
    from ..data.tokens import Encoded


@dataclass(frozen=True)
class _Names:
    """How transformers names the weights of a type, after the prefix that a file may have."""

    prefix: str
    embedding: str = "embeddings.word_embeddings.weight"
    layers: str = "encoder.layer"


_LLAMA = _Names("model", "embed_tokens.weight", "layers")

_KNOWN = {
    "bert": _Names("bert"),
    "deberta-v2": _Names("deberta"),
    "distilbert": _Names("distilbert", layers="transformer.layer"),
    "electra": _Names("electra"),
    "gpt2": _Names("transformer", "wte.weight", "h"),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "roberta": _Names("roberta"),
    "xlm-roberta": _Names("roberta"),
}

# The last layer of the heads that transformers puts on: it has a row for each class.
_HEADS = ("classifier.weight", "classifier.out_proj.weight", "score.weight")


def files_problems(config: RunConfig, model: Architecture, folder: Path) -> Iterator[Problem]:
    """Yield what is wrong with a model's files.

    Weights that would not load or have another shape than ``config.json`` says, layers that are
    missing, a tokenizer with tokens that have no embedding; damaged files.

    Args:
        config: The run.
        model: What its ``config.json`` says.
        folder: Where the files are; a part of the hub's cache may lack some.
    """
    complete = folder.parent.name != "snapshots"
    shapes: Shapes = {}
    try:
        found = weight_shapes(folder)
        if found is None and complete:
            yield _model(f"{folder} holds no weights (model.safetensors)")
        shapes = found or {}
        problem = _misnamed(model, shapes, folder)
        yield from [problem] if problem else _misshaped(config, model, shapes, folder)
        yield from _zeroed(config, model, shapes, folder)
    except ConfigError as error:
        yield from error.problems
    try:
        if complete or (folder / TOKENIZER_FILE).is_file():
            yield from _unembedded(model, shapes, folder)
    except ConfigError as error:
        yield from error.problems


def narrowest_side(model: Architecture, folder: Path) -> int | None:
    """Return the smallest side of any matrix of the layers; ``None`` where it is not known.

    No matrix that is adapted there has a lower highest rank.

    Raises:
        ConfigError: A file of weights is damaged.
    """
    names, shapes = _KNOWN.get(model.model_type or ""), weight_shapes(folder) or {}
    stem = _stem(names, shapes) if names else None
    if names is None or stem is None:
        return None
    layers = f"{stem}{names.layers}."
    sides = [shape for name, shape in shapes.items() if name.startswith(layers)]
    return min((min(shape) for shape in sides if shape and len(shape) == 2), default=None)


def length_problem(
    config: RunConfig, model: Architecture, folder: Path, data: Data
) -> Problem | None:
    """Say which texts have more tokens than the model has positions; ``None`` where none has."""
    limit = model.positions
    if limit is None or config.data.max_length <= limit:
        return None
    rows = [row for split in data.splits.values() for row in zip(*split.texts, strict=True)]
    # A token takes at least one byte, so most texts need no count. A pair adds three at most.
    long = [row for row in dict.fromkeys(rows) if sum(map(_bytes, row)) + 4 > limit]
    lengths = _lengths(config, folder, long)
    over = sum(length > limit for length in lengths)
    if not over:
        return None
    return Problem(
        "data.max_length",
        f"must be at most {limit}, the positions of {config.model.name_or_path}, got "
        f"{config.data.max_length}: {over:,} texts have more tokens (up to {max(lengths):,})",
    )


def places_problem(
    config: RunConfig, positions: int | None, splits: Sequence[Encoded]
) -> Problem | None:
    """Say what a language model has too few positions for; ``None`` where they suffice.

    Args:
        config: The run.
        positions: Of the model; ``None`` for any number.
        splits: What is learnt and answered.
    """
    needed, what = max(_needed_positions(config, splits))
    if positions is None or needed <= positions:
        return None
    message = f"{config.model.name_or_path} has {positions} positions, but {what}"
    return Problem("data.max_length", message)


def _needed_positions(config: RunConfig, splits: Sequence[Encoded]) -> Iterator[tuple[int, str]]:
    """Yield how many places of a text the model reads, and what has so many."""

    def longest(feature: str) -> int:
        return max(len(tokens) for split in splits for tokens in split.features.get(feature, [[]]))

    example = longest("input_ids")
    yield example, f"the longest example takes {example}; lower it"
    options = {name for split in splits for name in split.features if name.startswith("option_")}
    if options:
        needed = max(map(longest, options))
        yield needed, f"the longest prompt with an option takes {needed}; lower it"
    elif most := config.language.max_new_tokens:
        prompt = longest("prompt")
        yield (
            prompt + most,
            f"an answer takes {prompt + most}: the {prompt} tokens of its prompt and "
            f"language.max_new_tokens={most} more; lower one of the two",
        )


def head_remark(config: RunConfig, model: Architecture, folder: Path, data: Data) -> str | None:
    """Say what becomes of a head that the model's files hold; ``None`` where they hold none."""
    shapes = weight_shapes(folder) or {}
    name = next((name for name in _HEADS if name in shapes), None)
    if name is None:
        return None
    shape = shapes[name]
    have = shape[0] if shape else len(model.classes) or 2
    where = config.model.name_or_path
    if have != data.outputs:
        return (
            f"{where} has a head for {have} classes, but the labels have {data.outputs}: "
            "its last layer is initialised anew"
        )
    was = f" ({', '.join(model.classes)})" if len(model.classes) == have else ""
    return f"{where} has a head for {have} outputs{was}, from which training starts"


def _misnamed(model: Architecture, shapes: Shapes, folder: Path) -> Problem | None:
    names = _KNOWN.get(model.model_type or "")
    if names is None or not shapes or _stem(names, shapes) is not None:
        return None
    like = next((name for name in shapes if name.endswith(names.embedding)), None)
    held = f"it is there as {like}" if like else f"the first is {min(shapes)}"
    return _model(
        f"the weights in {folder} would not load: a {model.model_type} has "
        f"{names.embedding} (or {names.prefix}.{names.embedding}), but {held}; "
        "save them with the model's own save_pretrained"
    )


def _stem(names: _Names, shapes: Shapes) -> str | None:
    """Return what stands before a type's own names in the files; ``None`` for another prefix."""
    return next(
        (stem for stem in ("", f"{names.prefix}.") if stem + names.embedding in shapes), None
    )


def _misshaped(
    config: RunConfig, model: Architecture, shapes: Shapes, folder: Path
) -> Iterator[Problem]:
    names = _KNOWN.get(model.model_type or "")
    stem = _stem(names, shapes) if names else None
    if names is None or stem is None:
        return
    shape = shapes[stem + names.embedding]
    for what, said, held in zip(
        ("vocab_size", "width"),
        (model.vocabulary, model.width),
        shape or (None, None),
        strict=True,
    ):
        if said is not None and held is not None and said != held:
            yield _model(
                f"{folder}: config.json says {what} {said}, but the embeddings in its files have "
                f"{held}; they belong to different models"
            )
    pattern = re.compile(re.escape(stem + names.layers) + r"\.(\d+)\.")
    indices = {int(match[1]) for name in shapes if (match := pattern.match(name))}
    said, held = model.layers, max(indices, default=-1) + 1
    if said is not None and held > said and config.model.layers is None:
        yield _model(
            f"{folder}: config.json says {said} layer{'s' if said > 1 else ''}, but its files hold "
            f"{held}; they belong to different models (to use only the first {said}, set "
            f"model.layers to {said})"
        )
    wanted = config.model.layers or said or 0
    if missing := set(range(wanted)) - indices:
        yield _model(
            f"{folder}: its files hold no weights of layer {min(missing)} ({wanted} layers are "
            f"requested, {len(indices)} are there)"
        )


# Weights that training never leaves at zero, beside those of layers. Others may be: RoBERTa's
# kinds of segment, a head.
_NORMS = re.compile(r"(.+[._])?(LayerNorm|layernorm|layer_norm|ln_\w+|norm)\.weight")

POSITIONS = re.compile(r"(.+\.)?(position_embeddings|wpe)\.weight")


def _zeroed(
    config: RunConfig, model: Architecture, shapes: Shapes, folder: Path
) -> Iterator[Problem]:
    names = _KNOWN.get(model.model_type or "")
    stem = _stem(names, shapes) if names else None
    if names is None or stem is None:
        return
    pattern = re.compile(re.escape(stem + names.layers) + r"\.(\d+)\..*weight")
    wanted = config.model.layers or model.layers or 0
    used = [
        name
        for name in shapes
        if name == stem + names.embedding
        or (name.startswith(stem) and POSITIONS.fullmatch(name))
        or (name.startswith(stem) and _NORMS.fullmatch(name) and not pattern.fullmatch(name))
        or ((match := pattern.fullmatch(name)) and int(match[1]) < wanted)
    ]
    if zero := zeroed_weights(folder, used):
        yield _model(zeroed(str(folder / zero[0][1]), [name for name, _ in zero]))


def zeroed(where: str, names: Sequence[str]) -> str:
    """Say that weights are zero, whole or half."""
    count = len(names) - 1
    more = f" and of {count} more weight{'s' if count > 1 else ''}" if count else ""
    return (
        f"{where} is damaged: zeros fill at least half of {names[0]}{more}; copy or download the "
        "model again"
    )


def _unembedded(model: Architecture, shapes: Shapes, folder: Path) -> Iterator[Problem]:
    names = _KNOWN.get(model.model_type or "")
    stem = _stem(names, shapes) if names else None
    shape = shapes[stem + names.embedding] if names and stem is not None else None
    rows = shape[0] if shape else model.vocabulary
    highest = highest_token(folder)
    if rows is not None and highest is not None and highest >= rows:
        yield _model(unembedded(str(folder), highest, rows))


def unembedded(model: str, highest: int, rows: int) -> str:
    """Say that a tokenizer has tokens without an embedding."""
    return (
        f"{model}: its tokenizer has tokens up to number {highest}, but the model has embeddings "
        f"for 0 to {rows - 1}; save the model after resize_token_embeddings({highest + 1})"
    )


def _lengths(config: RunConfig, folder: Path, rows: list[tuple[str, ...]]) -> list[int]:
    if not rows:
        return []
    path = folder / TOKENIZER_FILE
    if path.is_file():
        return [len(item.ids) for item in read_tokenizer(path).encode_batch(_pairs(rows))]
    from .load import load_tokenizer

    tokens = load_tokenizer(config.model)(*map(list, zip(*rows, strict=True)))
    return [len(ids) for ids in tokens["input_ids"]]


def _pairs(rows: list[tuple[str, ...]]) -> list[str | tuple[str, ...]]:
    return [row if len(row) == 2 else row[0] for row in rows]


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def _model(message: str) -> Problem:
    return Problem("model.name_or_path", message)
