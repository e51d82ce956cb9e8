"""Settings by dotted name, and which of them a method looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from .adapter_settings import AdapterSettings
from .run import RunConfig, setting_names
from .schema import NOT_LORA2

# Values of settings by dotted name: {"adapter.k": 4}.
Settings = dict[str, Any]


@cache
def known_settings() -> tuple[str, ...]:
    """Return the dotted names of all settings of a run."""
    return tuple(setting_names(RunConfig))


def is_setting(name: str) -> bool:
    """Return whether a run has a dotted setting; PEFT's own (``peft.r``) are for PEFT to know."""
    section, _, key = name.partition(".")
    return name in known_settings() or (section == "peft" and key.isidentifier())


def value_of(config: RunConfig, setting: str) -> Any:
    """Return the value of a dotted setting, ``None`` where there is no setting of that name."""
    value: Any = config
    for part in setting.split("."):
        value = getattr(value, part, None)
    return value


def dotted(nested: Mapping[str, Any], prefix: str = "") -> Settings:
    """Return nested settings as dotted ones: ``{"adapter": {"k": 4}}`` is ``adapter.k: 4``.

    A setting that is a mapping itself (``adapter.rank_pattern``) stays one.
    """
    result: Settings = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        inner = isinstance(value, dict) and not is_setting(name)
        result |= dotted(value, f"{name}.") if inner else {name: value}
    return result


def _shared(method: str) -> tuple[str, ...]:
    """Return the settings of a LoRA² adapter that a method of PEFT's own looks at too."""
    return tuple(item.name for item in fields(AdapterSettings) if method in item.metadata["peft"])


# What each method but LoRA² looks at in `adapter`.
USED: dict[str, tuple[str, ...]] = {
    "head-only": (),
    "no-training": (),
    "full": (),
    "lora": (*_shared("lora"), "init_lora_weights"),
    "rslora": (*_shared("rslora"), "init_lora_weights"),
    "pissa": _shared("pissa"),
    "lora-plus": (*_shared("lora-plus"), *NOT_LORA2),
    "dora": (*_shared("dora"), "init_lora_weights"),
    "adalora": _shared("adalora"),
    "peft": (),
}


def is_used(setting: str, method: str) -> bool:
    """Return whether a run of ``method`` can look at a dotted setting of its ``adapter``.

    ``peft`` is for the method of that name; settings of other sections count as used by every
    method.
    """
    section, _, name = setting.partition(".")
    if section == "peft":
        return method == "peft"
    if section != "adapter":
        return True
    return name not in NOT_LORA2 if method == "lora2" else name in USED[method]
