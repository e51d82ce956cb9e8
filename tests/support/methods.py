"""The methods that need no settings of their own."""

from __future__ import annotations

from typing import get_args

from lora2_search.config.run import Method

METHODS: tuple[str, ...] = tuple(name for name in get_args(Method) if name != "peft")
