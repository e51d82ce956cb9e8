"""What a run has trained, loaded back onto its pretrained model: the reverse of `save_adapter`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from ...config import RunConfig
from ...store import Damaged
from ..models.load import Base, fresh_copy
from .adapter import ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE

_REMEDY = "train the run again (`reproduce`), or restore it from a copy"

# What `save_adapter` writes where there is no adapter, by method.
_WEIGHTS = {"full": "model.safetensors", "head-only": "head.safetensors"}


def reload_model(base: Base, config: RunConfig, folder: Path) -> Any:
    """Return the model that a run ended with, its weights not shared with other runs.

    Args:
        base: The pretrained model that it was trained on.
        config: The run.
        folder: Its ``adapter`` folder.

    Raises:
        Damaged: A file is missing, or does not hold what the run's method leaves.
    """
    name = _WEIGHTS.get(config.method, ADAPTER_WEIGHTS_FILE)
    path = folder / name
    if not path.is_file():
        raise Damaged(path, "it is missing", _REMEDY)
    own = fresh_copy(base, [child for child, _ in base.model.named_children()], config.seed)
    try:
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5.23 for a deprecated name.
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
            # It takes the ranks that AdaLoRA kept for names of modules, but loads them too.
            warnings.filterwarnings("ignore", message="The following rank_pattern keys")
            return _adapted(own, folder) if name == ADAPTER_WEIGHTS_FILE else _filled(own, path)
    except Exception as error:
        # On damaged files PEFT and safetensors raise anything: KeyError, SafetensorError ...
        raise Damaged(path, f"it cannot be loaded ({error})", _REMEDY) from None


def _adapted(model: Any, folder: Path) -> Any:
    from peft import PeftModel

    from ... import adapter  # noqa: F401  registers LoRA² with PEFT

    if not (folder / ADAPTER_CONFIG_FILE).is_file():
        raise FileNotFoundError(f"no {ADAPTER_CONFIG_FILE} beside it")
    return PeftModel.from_pretrained(model, str(folder))


def _filled(model: Any, path: Path) -> Any:
    from safetensors.torch import load_file

    # Tied weights are saved once, and the head alone is no whole model.
    wrong = model.load_state_dict(load_file(path), strict=False).unexpected_keys
    if wrong:
        raise KeyError(f"the model has no {wrong[0]}")
    return model
