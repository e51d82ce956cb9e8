"""Find the best LoRA² fine-tuning settings, and prove which part of the method earns its keep."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Lora2Callback", "ablate", "load_study", "train", "tune"]

if TYPE_CHECKING:
    from .api import ablate, load_study, train, tune
    from .training.callback import Lora2Callback


# Where bitsandbytes is installed, importing peft imports it, and it warns of an optional kernel.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def __getattr__(name: str) -> Any:
    # Late, because the libraries behind these take seconds to import.
    if name == "Lora2Callback":
        from .training.callback import Lora2Callback

        return Lora2Callback
    if name in __all__:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
