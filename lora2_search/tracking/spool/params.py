"""Settings as MLflow's params: flat, dotted, plain numbers where they are numbers."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

# MLflow's own limits: a longer key is refused, a longer value is cut without a word.
KEY_LENGTH = 250

PARAM_LENGTH = 6_000

TAG_LENGTH = 8_000

_FORBIDDEN = re.compile(r"[^\w\-. :/]")


def clean_key(name: str) -> str:
    """Return ``name`` as a key that MLflow takes: odd characters become ``_``.

    A key must also not resolve to another one when read as a path (``a//b``, ``../a``).
    """
    key = posixpath.normpath(_FORBIDDEN.sub("_", name)).lstrip("/.")[:KEY_LENGTH]
    return key.rstrip("/") or "_"


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as ``{"adapter.k": "8"}``.

    Numbers are plain, lists are JSON, what is ``None`` or empty is left out.
    """
    result: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{name}.")
        elif value is not None and (text := _text(value)):
            result[clean_key(prefix + name)] = text[:PARAM_LENGTH]
    return result


def clean_tags(tags: Mapping[str, str | None]) -> dict[str, str]:
    """Return tags with keys and lengths that MLflow takes; ``None`` is left out."""
    return {
        clean_key(key): shortened(value, TAG_LENGTH)
        for key, value in tags.items()
        if value is not None
    }


def shortened(text: str, length: int) -> str:
    """Return ``text``, its middle left out where it is longer than ``length`` characters."""
    if len(text) <= length:
        return text
    half = (length - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def _text(value: Any) -> str:
    if isinstance(value, bool | list | tuple):
        return json.dumps(value) if value not in ([], ()) else ""
    return str(value)
