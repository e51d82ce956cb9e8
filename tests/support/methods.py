"""The methods that need no settings of their own."""

from __future__ import annotations

from typing import get_args

from lora2_search.config.run import Method

_OTHERS = ("peft", "no-training")  # PEFT's have settings; a classifier is always trained

METHODS: tuple[str, ...] = tuple(name for name in get_args(Method) if name not in _OTHERS)
