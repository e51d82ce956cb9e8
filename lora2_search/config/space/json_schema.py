"""The JSON Schema of a space's file, for editors that complete and check YAML as it is written."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..adapter_settings import AdapterSettings
from ..presets import PRESETS
from ..settings import known_settings
from .schema import Space

Schema = dict[str, Any]

# What pydantic names otherwise than JSON Schema does.
_BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


def space_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a space's file.

    It holds for what a file may say by itself: keys, types and choices, with every setting that can
    be searched by name. What two settings may not be together, only `load_space` tells. A file that
    extends another may lack any key.
    """
    schema: Schema = _tidied(Space.model_json_schema())
    adapter = schema["$defs"]["AdapterConfig"]["properties"]
    for item in fields(AdapterSettings):
        if item.name in adapter and "help" in item.metadata:
            adapter[item.name]["description"] = item.metadata["help"]
    keys = schema["properties"]
    distribution = keys["search"]["additionalProperties"]
    keys["search"] |= {
        "description": "dotted setting: its values",
        "properties": dict.fromkeys(known_settings(), distribution),
        "patternProperties": {r"^peft\.": distribution},
        "additionalProperties": False,
    }
    # null takes away what stands in the file that is extended.
    keys["references"] |= {"type": ["object", "null"], "description": "name: its settings"}
    keys["try_first"]["type"] = ["array", "null"]
    keys["preset"] = {
        "enum": list(PRESETS),
        "description": "adapter settings that the file does not write itself",
    }
    keys["extends"] = {
        "type": "string",
        "description": "start from a file in the same folder, or from a shipped one",
    }
    keys["name"] |= {"description": "of the study; default: the file's name"}
    schema.pop("required", None)
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {**about, "title": "lora2_search search space", **schema}


def _tidied(node: Any) -> Any:
    """Return a schema without titles, which repeat the keys, and with bounds in its own words."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        _BOUNDS.get(key, key): _tidied(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
    }
