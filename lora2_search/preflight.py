"""Check that the model and the sentences of a run are there, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .config import ModelConfig, RunConfig
from .errors import ConfigError, Problem, UserError
from .training.location import model_location
from .training.packaged import asset

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
    from .training.data import load_data

    problems: list[Problem] = []
    if config.task.startswith("sentiment"):
        asset("sentiment", say)
    for check in (lambda: check_model(config.model, say), lambda: load_data(config)):
        try:
            check()
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)


def check_model(model: ModelConfig, say: Callable[[str], None] = lambda line: None) -> None:
    """Check that a model can be found.

    Raises:
        ConfigError: There is no such folder, or it holds no ``config.json``.
        UserError: The hub or the package index cannot be reached, or has no such model.
    """
    location = Path(model_location(model, say))
    if not location.is_dir():
        _ask_hub(model)
    elif not (location / CONFIG_FILE).is_file():
        message = f"{location} holds no {CONFIG_FILE}: it is no folder with a transformers model"
        raise ConfigError([Problem("model.name_or_path", message)])


def _ask_hub(model: ModelConfig) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        hf_hub_download(model.name_or_path, CONFIG_FILE, revision=model.revision)
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        raise UserError(
            f"model.name_or_path: cannot get {model.name_or_path} from the hub: {first}; offline, "
            "set it to a local folder (--set model.name_or_path=DIR) or to the packaged minilm"
        ) from None
