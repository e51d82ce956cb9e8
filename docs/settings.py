"""Write docs/settings.md: every setting of a run, its type, default and meaning."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from lora2_search.config.adapter_settings import AdapterSettings
from lora2_search.config.run import RunConfig

PAGE = Path(__file__).with_name("settings.md")
ADAPTER = {item.name: item.metadata["help"] for item in fields(AdapterSettings)}
HEAD = """# Settings of a run

`python docs/settings.py` writes this page. `train`, `tune` and `ablate` read the same settings
from their YAML, and `--set key=value` overrides any of them. A fraction of steps (`0.1`) keeps a
schedule's shape when the data grows; a whole number is a number of steps.
"""


def rows(kind: type[BaseModel], prefix: str = "") -> list[tuple[str, str, str, str]]:
    found = []
    for name, info in kind.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += rows(inner, f"{prefix}{name}.")
            continue
        default = "" if info.default is PydanticUndefined else shown(info.default)
        text = info.description or ADAPTER[name]
        found.append((f"{prefix}{name}", type_of(inner), default, text))
    return found


def shown(value: Any) -> str:
    return "" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def type_of(annotation: Any) -> str:
    if getattr(annotation, "__metadata__", None):
        return type_of(annotation.__origin__)
    arguments = getattr(annotation, "__args__", ())
    if "Literal" in str(annotation).split("[")[0]:
        return ", ".join(str(item) for item in arguments)
    if getattr(annotation, "__origin__", None) is list:
        return f"list of {type_of(arguments[0])}"
    if arguments:
        return " or ".join(type_of(item) for item in arguments if item is not type(None))
    return getattr(annotation, "__name__", str(annotation))


ALL = rows(RunConfig)


def page() -> str:
    lines = [HEAD, "| setting | type | default | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{name}` | {kind} | {default} | {text} |" for name, kind, default, text in ALL]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
