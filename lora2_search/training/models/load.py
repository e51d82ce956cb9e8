"""Base models and tokenizers, loaded."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...adapter import is_quantized, keep_plain
from ...config import MODULES_TO_SAVE, ModelConfig
from ...errors import BaseChanged, ConfigError, Problem, UserError
from ..seeds import named_seed
from .files import model_files, model_folder, model_hash, model_location, padding_side
from .fit import POSITIONS, unembedded, zeroed

# Of a tensor's 32-bit words: a block and its weights stay in a core's cache.
_BLOCK = 1 << 16


def checksums(model: nn.Module) -> dict[str, int]:
    """Return a checksum of every parameter and buffer of a model, by name.

    Of bits and their places: writing a value back changes nothing, moving it does. The same on
    every device.
    """
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: checksum(tensor) for name, tensor in named}


def checksum(tensor: Tensor) -> int:
    """Return a checksum of one tensor of any shape and type: its words, weighted by position.

    A word counts as an integer, times an odd number of its place in the block, times a power of
    31 for the block, modulo 2^64. Odd, so that no bit is ever multiplied away.
    """
    bits = tensor.detach().reshape(-1).view(torch.uint8)
    if bits.numel() % 4 == 0 and bits.storage_offset() % 4 == 0:
        bits = bits.view(torch.int32)
    place = torch.arange(min(_BLOCK, bits.numel()), device=bits.device) * 2 + 1
    total = torch.zeros((), dtype=torch.int64, device=bits.device)
    for block in bits.split(_BLOCK):
        total = total * 31 + (block * place[: block.numel()]).sum()
    return int(total)


def heads_of(model: Any, model_type: str) -> list[str]:
    """Return their names: pooler, classifier; for an unknown type, all beside the encoder."""
    if model_type in MODULES_TO_SAVE:
        return list(MODULES_TO_SAVE[model_type])
    return [
        name
        for name, module in model.named_children()
        if name != model.base_model_prefix and any(True for _ in module.parameters())
    ]


@dataclass(frozen=True)
class Base:
    """A pretrained classifier or language model as loaded.

    Attributes:
        model: The module; its weights are shared by every copy and never trained.
        fresh: Names of the weights that the files did not hold (the head; DeBERTa's pooler), or in
            another shape (a head for other classes).
        model_type: ``config.model_type``: ``bert``, ``deberta-v2`` ...
        checksums: Of every weight and buffer as loaded, by name.
        is_language: Whether it is a causal language model.
    """

    model: nn.Module
    fresh: tuple[str, ...]
    model_type: str
    checksums: dict[str, int]
    is_language: bool = False

    @property
    def heads(self) -> list[str]:
        """Names of the modules that are trained whole, whatever the method: pooler, classifier.

        None of a language model, which comes with all its weights.
        """
        return [] if self.is_language else heads_of(self.model, self.model_type)


_bases: dict[tuple[Any, ...], Base] = {}

_tokenizers: dict[tuple[Any, ...], Any] = {}


def load_base(config: ModelConfig, outputs: int | None, regression: bool = False) -> Base:
    """Return the pretrained model with a head of ``outputs`` logits, from memory if it is there.

    ``None`` outputs: a causal language model with its own head. The model is loaded anew
    when its files have other contents than those that were loaded.

    Raises:
        ConfigError: The folder is missing, or what it holds cannot be loaded as the model that its
            ``config.json`` describes.
        UserError: The hub cannot be reached.
    """
    kept = (config.dtype, config.quantization, config.attention)
    shape = (config.layers, config.classifier_dropout, *kept, outputs, regression)
    key = (*_contents(config), *shape)
    if key not in _bases:
        # One model at a time: a second pretrained model would double the memory of a worker.
        _bases.clear()
        _bases[key] = _load(config, outputs, regression)
    return _bases[key]


def check_base() -> None:
    """Make sure that the model in memory is the one that was loaded, to the bit.

    Raises:
        BaseChanged: It is not. It is discarded, but more may have changed in the process, which
            should run nothing else.
    """
    for base in _bases.values():
        now = checksums(base.model)
        changed = [name for name in now if now[name] != base.checksums.get(name)]
        if changed or len(now) != len(base.checksums):
            _bases.clear()
            what = changed[0] if changed else "a weight that is gone"
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise BaseChanged(
                "this run changed the pretrained model that it shares with later runs: "
                f"{what}{more} changed since it was loaded; its result cannot be trusted"
            )


def load_tokenizer(config: ModelConfig) -> Any:
    """Return the tokenizer of the model, from memory if it is there.

    Without a padding token, which many decoders lack, it pads with its end-of-sequence token. It
    pads on the right, whatever its files say (`padding_side`).

    Raises:
        ConfigError: The folder is missing or holds no tokenizer, or one that cannot pad.
        UserError: The hub cannot be reached.
    """
    key = _contents(config)
    if key not in _tokenizers:
        _tokenizers.clear()
        _tokenizers[key] = _padded(own_tokenizer(config), config)
    return _tokenizers[key]


def own_tokenizer(config: ModelConfig) -> Any:
    """Return the tokenizer as its files have it, without what training sets.

    Raises:
        ConfigError: The folder is missing or holds no tokenizer.
        UserError: The hub cannot be reached.
    """
    from transformers import AutoTokenizer

    return _from_pretrained(AutoTokenizer, config)


def fresh_copy(base: Base, trained: list[str], seed: int) -> Any:
    """Return a copy of the model for one run.

    Modules named in ``trained`` (``["pooler", "classifier"]``) get weights of their own; all other
    weights are shared with ``base``. Weights that the files did not hold are drawn from
    generators named by ``seed`` and the weight's own name.

    Raises:
        RuntimeError: A weight that the files did not hold would stay frozen at random.
    """
    own = {name for name, _ in base.model.named_parameters() if _inside(name, trained)}
    frozen_at_random = sorted(set(base.fresh) - own)
    if frozen_at_random:
        raise RuntimeError(
            f"these weights are not in the model's files and would stay frozen at random: "
            f"{', '.join(frozen_at_random)}; trained modules are {trained}"
        )
    shared = {id(p): p for name, p in base.model.named_parameters() if name not in own}
    model = copy.deepcopy(base.model, dict(shared))
    spread = float(getattr(model.config, "initializer_range", 0.02))
    for name, parameter in model.named_parameters():
        if name in base.fresh:
            _draw(name, parameter, spread, seed)
    return model


def _contents(config: ModelConfig) -> tuple[str, str | None, str]:
    # Nothing for a hub model before its download: it is then loaded once more than necessary.
    return config.name_or_path, config.revision, model_hash(model_files(config))


def _load(config: ModelConfig, outputs: int | None, regression: bool) -> Base:
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
    )

    settings: dict[str, int | str] = {}
    if outputs is not None:
        settings["num_labels"] = outputs
        settings["problem_type"] = "regression" if regression else "single_label_classification"
    if config.layers is not None:
        settings["num_hidden_layers"] = config.layers
    # On the configuration, or transformers hands names it does not know to the model itself.
    shape = _from_pretrained(AutoConfig, config, **settings)
    if config.classifier_dropout is not None:
        # DeBERTa reads cls_dropout, the others classifier_dropout.
        shape.classifier_dropout = shape.cls_dropout = config.classifier_dropout
    # The head's own random start is drawn here and drawn anew by name in every copy.
    with torch.random.fork_rng(devices=[]), _quiet_loading():
        model, info = _from_pretrained(
            AutoModelForCausalLM if outputs is None else AutoModelForSequenceClassification,
            config,
            config=shape,
            output_loading_info=True,
            # A head for other classes is drawn anew; any other weight is refused below.
            ignore_mismatched_sizes=True,
            **_kept(config),
        )
    if model.config.pad_token_id is None:
        # A decoder reads its answer off the last token that is no padding: it must know which is.
        model.config.pad_token_id = load_tokenizer(config).pad_token_id
    model.requires_grad_(False)
    for tensor in (*model.parameters(), *model.buffers()):
        # Off the mapped file: what is written into it from now on would change the weights.
        tensor.data = tensor.data.clone()
    if config.quantization is not None:
        _settle(model, config)
    fresh = {*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])}
    kind = model.config.model_type
    base = Base(model, tuple(sorted(fresh)), kind, checksums(model), is_language=outputs is None)
    _check_loaded(base, config, info["unexpected_keys"])
    return base


def _kept(config: ModelConfig) -> dict[str, Any]:
    """Return how transformers is to keep the weights and to compute attention."""
    dtype: torch.dtype = getattr(torch, config.dtype)
    kept: dict[str, Any] = {"dtype": dtype}
    if config.attention is not None:
        kept["attn_implementation"] = config.attention
    if config.quantization is not None:
        from transformers import BitsAndBytesConfig

        kept["device_map"] = "cpu"  # a run moves its copy to its device
        kept["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=config.quantization,
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    return kept


def _settle(model: nn.Module, config: ModelConfig) -> None:
    """Keep quantised weights as they are: bitsandbytes may pack them anew as it evaluates.

    Raises:
        ConfigError: The model has none.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    packed = [module for module in layers if is_quantized(module)]
    if not packed:
        message = f"{config.name_or_path} has no linear layer that could be quantised; leave it out"
        raise ConfigError([Problem("model.quantization", message)])
    for module in packed:
        keep_plain(module)
    # It says "on the CPU", and Accelerate would refuse to train there what is on a GPU by then.
    vars(model).pop("hf_device_map", None)


def _check_loaded(base: Base, config: ModelConfig, unexpected: Iterable[str]) -> None:
    """Refuse a model that would train on weights other than those of its files."""
    where, problems = model_location(config), []
    if lost := [name for name in base.fresh if not _inside(name, base.heads)]:
        held = sorted(name for name in unexpected if not _inside(name, base.heads))
        end = f"; the files hold {held[0]}, which has no place in it" if held else ""
        problems.append(
            f"the files of {where} lack {len(lost)} of the model's weights, or have them in "
            f"another shape ({lost[0]} ...){end}"
        )
    broken = [n for n, p in base.model.named_parameters() if not bool(torch.isfinite(p).all())]
    if broken:
        problems.append(f"the files of {where} hold NaN or infinity, in {broken[0]}")
    if empty := _zeroed(base):
        problems.append(zeroed(where, empty))
    highest = max(load_tokenizer(config).get_vocab().values())
    embeddings: Any = base.model.get_input_embeddings
    rows = embeddings().num_embeddings
    if highest >= rows:
        problems.append(unembedded(where, highest, rows))
    if problems:
        raise ConfigError([Problem("model.name_or_path", problem) for problem in problems])


def _zeroed(base: Base) -> list[str]:
    """Return matrices and weights of layer norms of which zeros fill at least half.

    Not heads, which may begin so, nor embeddings of anything but tokens and their positions:
    RoBERTa's kinds of segment are zero.
    """
    embeddings: Any = base.model.get_input_embeddings
    other = {
        f"{name}.weight"
        for name, module in base.model.named_modules()
        if isinstance(module, nn.Embedding)
        and module is not embeddings()
        and not POSITIONS.fullmatch(f"{name}.weight")
    }
    norms = {
        f"{name}.weight"
        for name, module in base.model.named_modules()
        if isinstance(module, nn.LayerNorm)
    }
    return [
        name
        for name, weight in base.model.named_parameters()
        if (weight.ndim >= 2 or name in norms)
        and not (name in other or name in base.fresh or _inside(name, base.heads))
        and _half_zero(weight)
    ]


def _half_zero(weight: Tensor) -> bool:
    """Whether an unbroken run of zeros fills at least half of a weight: it covers the middle."""
    flat = weight.detach().reshape(-1)
    count, middle = len(flat), len(flat) // 2
    if not count:
        return False
    if flat[middle] != 0 and flat[middle - 1] != 0:
        return False
    held = flat.nonzero().flatten()
    after = int(torch.searchsorted(held, middle))
    last = int(held[after - 1]) if after else -1
    following = int(held[after]) if after < len(held) else count
    return 2 * (following - last - 1) >= count


def _padded(tokenizer: Any, config: ModelConfig) -> Any:
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            message = (
                f"{config.name_or_path}: its tokenizer has neither a padding nor an "
                "end-of-sequence token, so sentences cannot be batched; set a `pad_token` in its "
                "tokenizer_config.json"
            )
            raise ConfigError([Problem("model.name_or_path", message)])
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = padding_side(model_folder(config))
    return tokenizer


def _from_pretrained(loader: Any, source: ModelConfig, **settings: Any) -> Any:
    location = model_location(source)
    try:
        return loader.from_pretrained(
            location,
            revision=source.revision or "main",
            trust_remote_code=source.trust_remote_code,
            **settings,
        )
    except MemoryError:
        raise
    except Exception as error:
        # On damaged files transformers raises anything: EOFError, SafetensorError, TypeError.
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        if Path(location).is_dir():
            message = f"{location} cannot be loaded: {text}"
            raise ConfigError([Problem("model.name_or_path", message)]) from None
        raise UserError(
            f"cannot load {location} from the hub: {text}\n"
            "offline, set model.name_or_path to a local folder"
        ) from None


class _quiet_loading:
    """Silence transformers' load report: the fresh weights it warns of are trained here."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        self._level = logging.get_verbosity()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging

        logging.set_verbosity(self._level)


def _inside(name: str, modules: list[str]) -> bool:
    return any(part in modules for part in name.split("."))


def _draw(name: str, parameter: nn.Parameter, spread: float, seed: int) -> None:
    with torch.no_grad():
        if parameter.ndim >= 2:
            generator = torch.Generator().manual_seed(named_seed(seed, "head", name))
            start = torch.empty(parameter.shape).normal_(0.0, spread, generator=generator)
            parameter.copy_(start)
        elif name.endswith("bias"):
            parameter.zero_()
        else:
            parameter.fill_(1.0)
