"""How large an adapter will be, from a model's configuration alone: no weights are loaded."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from ...config import ModelConfig
from ...errors import ConfigError, Problem, UserError, did_you_mean
from ...store import block_and_kind
from .files import PACKAGED_MODEL, model_location
from .load import heads_of

if TYPE_CHECKING:
    from torch import Tensor

_CONFIGS = Path(__file__).parent / "model_configs"

# Their configurations on the hub; with these the paper's models are counted without network.
SHIPPED = {
    "microsoft/deberta-v3-base": _CONFIGS / "deberta-v3-base.json",
    "FacebookAI/roberta-large": _CONFIGS / "roberta-large.json",
    "roberta-large": _CONFIGS / "roberta-large.json",
    PACKAGED_MODEL: _CONFIGS / "minilm.json",
}


@dataclass(frozen=True)
class KindSize:
    """The adapted matrices of one kind and shape, over all blocks.

    Attributes:
        name: What follows the block's number: ``attention.self.query_proj``.
        matrices: How many there are.
        shape: Of the frozen weight, (d_out, d_in).
        adapter: Adapter parameters of all of them.
        scored_full: Of these, what full scoring looks at.
        scored_reduced: What reduced scoring looks at.
    """

    name: str
    matrices: int
    shape: tuple[int, int]
    adapter: int
    scored_full: int
    scored_reduced: int


@dataclass(frozen=True)
class Sizes:
    """Parameter counts of an adapter before pruning.

    Attributes:
        model: Parameters of the model with its classification head, frozen or not.
        adapter: Parameters of the adapter.
        head: Parameters of the modules that are trained whole beside it.
        heads: Names of these modules.
        compressed: What a plain LoRA of width min(r, all k) holds for each matrix.
        scored_full: What full scoring looks at.
        scored_reduced: What reduced scoring looks at.
        file_bytes: Size of ``adapter_model.safetensors``; the head is in it.
        kinds: The same by kind of module, in the order of the model.
    """

    model: int
    adapter: int
    head: int
    heads: tuple[str, ...]
    compressed: int
    scored_full: int
    scored_reduced: int
    file_bytes: int
    kinds: tuple[KindSize, ...]

    @property
    def share(self) -> float:
        """The adapter's parameters as a share of the model's, in [0, 1]."""
        return self.adapter / self.model

    @property
    def saved(self) -> float:
        """The share of the scored parameters that reduced scoring saves, in [0, 1]."""
        return 1 - self.scored_reduced / self.scored_full if self.scored_full else 0.0


def adapter_sizes(
    model: str,
    k: int | list[int],
    r: int,
    target_modules: list[str] | str | None = None,
    labels: int = 2,
    **placed: Any,
) -> Sizes:
    """Count the parameters of a LoRA² adapter on the meta device.

    Args:
        model: A shipped name (see ``SHIPPED``), a folder with a ``config.json``, or a hub id.
        k: Width of the outer plane; a list of widths makes more planes, ``[]`` a single one.
        r: Number of singular values per matrix.
        target_modules: Suffixes, a regular expression or ``all-linear``; ``None`` takes all linear
            layers of each block, which is known for the common model types.
        labels: Logits of the classification head.
        placed: ``exclude_modules``, ``layers_to_transform`` and ``layers_pattern`` of the adapter.

    Raises:
        ConfigError: A folder was named and is not there.
        UserError: The configuration cannot be read, the model has no sequence classifier, or the
            adapter's settings do not fit it.
    """
    import torch
    from peft import get_peft_model, get_peft_model_state_dict

    from ...adapter import Lora2Config, count_parameters
    from ...config import default_targets

    try:
        # A wrong k is reported before a wrong model is.
        config = Lora2Config(task_type="SEQ_CLS", k=k, r=r, **placed)
        base, model_type = empty_model(model, labels)
        _check_excluded(base, config.exclude_modules)
        total = sum(parameter.numel() for parameter in base.parameters())
        heads = heads_of(base, model_type)
        targets = default_targets(model_type) if target_modules is None else target_modules
        config.target_modules = set(targets) if isinstance(targets, list) else targets
        config.modules_to_save = list(heads)  # PEFT adds names of its own to it
        with warnings.catch_warnings(), torch.device("meta"):
            # peft 0.21 asks transformers 5.23 for a deprecated name.
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
            adapted = get_peft_model(base, config)
    except UserError:
        raise
    except (ValueError, TypeError) as error:
        raise UserError(str(error)) from None
    counts = count_parameters(adapted)
    return Sizes(
        model=total,
        adapter=counts["trained_adapter"],
        head=counts["trained_head"],
        heads=tuple(heads),
        compressed=counts["compressed_adapter"],
        scored_full=counts["scored_full"],
        scored_reduced=counts["scored_reduced"],
        file_bytes=_file_bytes(get_peft_model_state_dict(adapted, save_embedding_layers=False)),
        kinds=_kinds(adapted),
    )


def empty_model(name: str, labels: int) -> tuple[Any, str]:
    """Return a sequence classifier without weights, and its model type."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    shipped = SHIPPED.get(name)
    where = shipped or model_location(ModelConfig(name_or_path=name))
    try:
        shape = AutoConfig.from_pretrained(where, num_labels=labels)
    except (OSError, ValueError) as error:
        text = str(error).strip().splitlines()[0]
        raise UserError(
            f"cannot read the configuration of {name}: {text}\n"
            f"offline, name a local folder, or one of {', '.join(SHIPPED)}"
        ) from None
    try:
        with torch.device("meta"):
            empty = AutoModelForSequenceClassification.from_config(shape, dtype=torch.float32)
    except ValueError:
        raise UserError(
            f"{name} is of type {shape.model_type}, for which transformers has no sequence "
            "classifier"
        ) from None
    return empty.requires_grad_(False), shape.model_type


def _check_excluded(base: Any, excluded: Collection[str] | str | None) -> None:
    """Refuse exclusions that exclude nothing: PEFT does not report them where a head is trained."""
    names = [name for name, _ in base.named_modules()]
    if isinstance(excluded, str):
        idle = [] if any(re.fullmatch(excluded, name) for name in names) else [excluded]
    else:
        idle = [
            suffix
            for suffix in sorted(excluded or ())
            if not any(name == suffix or name.endswith(f".{suffix}") for name in names)
        ]
    if idle:
        message = f"the model has no module named {', '.join(idle)}; {_near(idle[0], names)}"
        raise ConfigError([Problem("adapter.exclude_modules", message)])


def _near(name: str, names: Iterable[str]) -> str:
    return did_you_mean(name, {part.rpartition(".")[2] for part in names if part})


def _kinds(adapted: Any) -> tuple[KindSize, ...]:
    from ...adapter import Lora2Layer, count_parameters

    found: dict[tuple[str, tuple[int, int]], list[dict[str, int]]] = {}
    for name, layer in adapted.named_modules():
        if isinstance(layer, Lora2Layer):
            shape = layer.out_features, layer.in_features
            key = block_and_kind(name)[1], shape
            found.setdefault(key, []).append(count_parameters(layer))
    return tuple(
        KindSize(
            name=name,
            matrices=len(counts),
            shape=shape,
            adapter=sum(count["trained_adapter"] for count in counts),
            scored_full=sum(count["scored_full"] for count in counts),
            scored_reduced=sum(count["scored_reduced"] for count in counts),
        )
        for (name, shape), counts in found.items()
    )


class _Entry(TypedDict):
    """What the header of a safetensors file says about a tensor, in this order."""

    dtype: str
    shape: list[int]
    data_offsets: list[int]


def _file_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Return the size of a safetensors file: eight bytes, a header filled up to eight, the data."""
    header: dict[str, _Entry | dict[str, str]] = {"__metadata__": {"format": "pt"}}
    end = 0
    # The order of the file: it decides how many digits the offsets have.
    for name in sorted(tensors):
        size = tensors[name].numel() * tensors[name].element_size()
        header[name] = _Entry(
            dtype="F32", shape=list(tensors[name].shape), data_offsets=[end, end + size]
        )
        end += size
    length = len(json.dumps(header, separators=(",", ":")).encode())
    return 8 + -(-length // 8) * 8 + end
