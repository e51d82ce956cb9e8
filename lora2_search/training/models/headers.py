"""What the files of a model hold, read without torch: names and shapes, positions, vocabulary."""

from __future__ import annotations

import json
import pickletools
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import ConfigError, Problem

CONFIG_FILE = "config.json"

TOKENIZER_FILE = "tokenizer.json"

# In the order in which transformers looks for them.
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)

# Files of tokenizers that have no tokenizer.json: WordPiece, BPE, SentencePiece.
_TOKENIZERS = ("*vocab*", "*.model", "*.spm", "*.codes", "*.tiktoken")

# These count the positions of a text from after the padding token's index.
_BEHIND_PADDING = (
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "roberta-prelayernorm",
    "camembert",
    "data2vec-text",
    "longformer",
    "mpnet",
)

# Bytes read at once.
_BLOCK = 1 << 16

# A number such as 1.0 has zero bytes itself; a hole in a file is larger.
_FEWEST_BYTES = 64

Shapes = Mapping[str, tuple[int, ...] | None]


@dataclass(frozen=True)
class Architecture:
    """What a model's ``config.json`` says about its shape; ``None`` where it does not.

    Attributes:
        model_type: ``bert``, ``deberta-v2`` ...
        layers: Transformer layers.
        vocabulary: Rows of the token embeddings.
        width: Width of the token embeddings.
        positions: How many tokens the model can tell apart by their place; ``None`` where any
            number.
        classes: Names of the classes of its head, in order.
    """

    model_type: str | None = None
    layers: int | None = None
    vocabulary: int | None = None
    width: int | None = None
    positions: int | None = None
    classes: tuple[str, ...] = ()


def read_architecture(path: Path) -> Architecture:
    """Read a model's ``config.json``.

    Raises:
        ConfigError: It cannot be read, or is no JSON object.
    """
    return architecture(_read_object(path))


def architecture(told: Mapping[str, object]) -> Architecture:
    """Return what the contents of a ``config.json`` say, by the names that model types use."""
    model_type, names = told.get("model_type"), told.get("id2label")
    return Architecture(
        model_type=model_type if isinstance(model_type, str) else None,
        layers=_first_count(told, "num_hidden_layers", "n_layers", "n_layer"),
        vocabulary=_first_count(told, "vocab_size"),
        # Electra's embeddings may be narrower than its layers.
        width=_first_count(told, "embedding_size", "hidden_size", "dim", "n_embd"),
        positions=_positions(told),
        classes=tuple(map(str, names.values())) if isinstance(names, dict) else (),
    )


def _positions(told: Mapping[str, object]) -> int | None:
    relative = told.get("relative_attention") and told.get("position_biased_input") is False
    if relative or "relative_attention_num_buckets" in told:
        return None
    found = _first_count(told, "max_position_embeddings", "n_positions", "n_ctx")
    if found is None or told.get("model_type") not in _BEHIND_PADDING:
        return found
    padding = told.get("pad_token_id", 1)
    return found - 1 - (padding if isinstance(padding, int) else 1)


def _first_count(told: Mapping[str, object], *names: str) -> int | None:
    """Return the first of these settings that is a whole number above 0."""
    values = (told.get(name) for name in names)
    return next(
        (v for v in values if isinstance(v, int) and not isinstance(v, bool) and v > 0), None
    )


def weight_shapes(folder: Path) -> Shapes | None:
    """Return the shape of every weight in a model's files by name; ``None`` as a shape: not known.

    The headers are read, not the weights. ``None`` for a folder that holds no weights: the hub's
    cache has them only once they were needed.

    Raises:
        ConfigError: A file of weights is damaged, or a shard is missing.
    """
    name = next((name for name in _WEIGHTS if (folder / name).exists()), None)
    if name is None:
        return None
    path = folder / name
    if not name.endswith(".index.json"):
        return _shapes(path)
    where = _shards(path)
    found: dict[str, tuple[int, ...] | None] = {}
    for shard in sorted(set(where.values())):
        if not (folder / shard).is_file():
            raise _damaged(path, f"it names {shard}, which is missing")
        found |= _shapes(folder / shard)
    if lost := sorted(where.keys() - found.keys()):
        raise _damaged(path, f"it names weights that no shard holds: {_first(lost)}")
    return found


def highest_token(folder: Path) -> int | None:
    """Return the highest token number of a model's tokenizer; ``None`` where it is not known.

    Raises:
        ConfigError: The folder holds no tokenizer, or its ``tokenizer.json`` is damaged.
    """
    path = folder / TOKENIZER_FILE
    if not path.exists():
        if any(any(folder.glob(pattern)) for pattern in _TOKENIZERS):
            return None
        raise _wrong(f"{folder} holds no tokenizer: neither {TOKENIZER_FILE} nor a vocabulary")
    vocabulary = read_tokenizer(path).get_vocab(with_added_tokens=True)
    return max(vocabulary.values(), default=None)


def read_tokenizer(path: Path) -> Any:
    """Return the tokenizer of a ``tokenizer.json``, as the library ``tokenizers`` has it.

    Raises:
        ConfigError: The file is damaged.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # it raises nothing narrower
        raise _damaged(path, str(error)) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def zeroed_weights(folder: Path, names: Collection[str]) -> list[tuple[str, str]]:
    """Return which of these weights an unbroken run of zeros fills at least half, with their files.

    A copy that was broken off after the space was set aside ends in zeros, and a lost block of a
    disk reads as zeros. Only safetensors are looked at. Such a run covers a weight's middle, so a
    few bytes there clear nearly all weights.
    """
    name = next((name for name in _WEIGHTS if (folder / name).exists()), None)
    if name is None or "safetensors" not in name:
        return []
    files = [name]
    if name.endswith(".index.json"):
        files = sorted(set(_shards(folder / name).values()))
    return [(weight, file) for file in files for weight in _zeroed(folder / file, names)]


def _zeroed(path: Path, names: Collection[str]) -> Iterator[str]:
    """Yield such weights of one file: eight bytes of length, header, data."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        told = json.loads(file.read(length))
        for name in sorted(told.keys() & set(names)):
            start, end = (8 + length + offset for offset in told[name]["data_offsets"])
            if end - start < _FEWEST_BYTES:
                continue
            if 2 * _zeros_about_middle(file, start, end) >= end - start:
                yield name


def _zeros_about_middle(file: BinaryIO, start: int, end: int) -> int:
    """Return the length of the unbroken run of zero bytes about the middle of a span."""
    middle, run = (start + end) // 2, 0
    for at in range(middle, end, _BLOCK):
        file.seek(at)
        block = file.read(min(_BLOCK, end - at))
        zeros = len(block) - len(block.lstrip(b"\0"))
        run += zeros
        if zeros < len(block):
            break
    for at in range(middle, start, -_BLOCK):
        first = max(start, at - _BLOCK)
        file.seek(first)
        block = file.read(at - first)
        zeros = len(block) - len(block.rstrip(b"\0"))
        run += zeros
        if zeros < len(block):
            break
    return run


def _shards(index: Path) -> dict[str, str]:
    """Return the file that holds each weight, by the weight's name."""
    where = _read_object(index).get("weight_map")
    if not isinstance(where, dict) or not where:
        raise _damaged(index, "it has no weight_map")
    return {str(name): str(file) for name, file in where.items()}


def _shapes(path: Path) -> dict[str, tuple[int, ...] | None]:
    if not path.is_file():
        raise _damaged(path, "it is not a file")
    return _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)


def _safetensors(path: Path) -> dict[str, tuple[int, ...] | None]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path, str(error)) from None


def _pickled(path: Path) -> dict[str, tuple[int, ...] | None]:
    """Return the names in a file of ``torch.save``; nothing is unpickled, its words are read."""
    try:
        if not zipfile.is_zipfile(path):
            # The form before torch 1.6 is one pickle; its weights follow and are not looked for.
            if path.read_bytes()[:1] != b"\x80":
                raise _damaged(path, "it is not a torch.save file, or is cut short")
            return {}
        with zipfile.ZipFile(path) as archive:
            inner = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            words = pickletools.genops(archive.read(inner))
            return {word: None for _, word, _ in words if isinstance(word, str) and "." in word}
    except (OSError, ValueError, StopIteration, zipfile.BadZipFile) as error:
        if isinstance(error, ConfigError):
            raise
        raise _damaged(path, str(error) or "it holds no pickle") from None


def _read_object(path: Path) -> dict[str, object]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from None
    if not isinstance(told, dict):
        raise _damaged(path, f"it must be a JSON object, but is a {type(told).__name__}")
    return told


def _first(names: list[str], count: int = 3) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def _damaged(path: Path, why: str) -> ConfigError:
    return _wrong(f"{path} is damaged ({why}); copy or download the model again")


def _wrong(message: str) -> ConfigError:
    return ConfigError([Problem("model.name_or_path", message)])
