"""Short runs of a language model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lora2_search.config.run import RunConfig


def settings(folder: Path, path: Path, **more: Any) -> RunConfig:
    data: dict[str, Any] = {
        "model": {"name_or_path": str(folder)},
        "data": {"path": str(path), "kind": "generation", "max_length": 40},
        "adapter": {"k": 4, "r": 2, "target_rank": 1, "t_final": 0.2},
        "training": {"steps": 6, "batch_size": 8, "evaluations": 2, "lr": 1e-2},
        "language": {"max_new_tokens": 3},
    }
    for key, value in more.items():
        section, _, name = key.partition("__")
        if name:
            data[section][name] = value
        else:
            data[section] = value
    return RunConfig.model_validate(data)
