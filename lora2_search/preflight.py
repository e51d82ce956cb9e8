"""Check that the model and the sentences of a run are there, before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from .config import ModelConfig, RunConfig
from .errors import ConfigError, Problem
from .model_types import TARGETS
from .training.location import model_location
from .training.packaged import asset
from .training.plan import check_schedule

CONFIG_FILE = "config.json"


def check_inputs(config: RunConfig, say: Callable[[str], None] = lambda line: None) -> None:
    """Check model and data of a run; what is packaged is fetched.

    Nothing here imports torch: a study's driver stays small.

    Args:
        config: The run.
        say: Takes a line about what is fetched.

    Raises:
        ConfigError: Missing files, folders or columns, and labels of the wrong kind; all of them.
        UserError: The hub or the package index cannot be reached.
    """
    problems: list[Problem] = []
    if config.task.startswith("sentiment"):
        asset("sentiment", say)
    for check in (_check_model_type, _check_data):
        try:
            check(config, say)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)


def _check_data(config: RunConfig, say: Callable[[str], None]) -> None:
    from .training.data import load_data

    data = load_data(config)
    if data.left_out:
        say(f"{data.left_out:,} rows lack text or label and are left out")
    check_schedule(config, len(data.splits["train"]))


def _check_model_type(config: RunConfig, say: Callable[[str], None]) -> None:
    path = check_model(config.model, say)
    model_type = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    whole = config.method in ("full", "head-only")
    adapts = not whole and config.adapter.target_modules is None
    if adapts and model_type not in TARGETS:
        raise ConfigError(
            [
                Problem(
                    "adapter.target_modules",
                    f"name the linear layers to adapt (suffixes, or all-linear): the model type "
                    f"{model_type!r} has no defaults; {', '.join(sorted(TARGETS))} have",
                )
            ]
        )


def check_model(model: ModelConfig, say: Callable[[str], None] = lambda line: None) -> Path:
    """Check that a model can be found, and return its ``config.json``.

    Raises:
        ConfigError: There is no such folder, it holds no ``config.json``, or the hub cannot be
            reached or has no such model.
        UserError: The package index cannot be reached.
    """
    location = Path(model_location(model, say))
    if not location.is_dir():
        return _ask_hub(model)
    if not (location / CONFIG_FILE).is_file():
        message = f"{location} holds no {CONFIG_FILE}: it is no folder with a transformers model"
        raise ConfigError([Problem("model.name_or_path", message)])
    return location / CONFIG_FILE


def _ask_hub(model: ModelConfig) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(model.name_or_path, CONFIG_FILE, revision=model.revision))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        message = (
            f"cannot get {model.name_or_path} from the hub: {first}; offline, set it to a local "
            "folder (--set model.name_or_path=DIR) or to the packaged minilm"
        )
        raise ConfigError([Problem("model.name_or_path", message)]) from None
