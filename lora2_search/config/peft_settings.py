"""The section `peft:`: a method of PEFT by its own name, with its own settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from .schema import Section


class PeftSettings(Section):
    """What PEFT's configuration of that type takes; which keys there are is for PEFT to say.

    They are checked before a model is loaded, by ``training.peft_problems``.
    """

    model_config = ConfigDict(extra="allow")

    peft_type: str | None = Field(
        None,
        description="method peft: PEFT's name of any method, `OFT`, its own settings beside it "
        "(`peft.r`); `peft: FILE` takes them from an adapter_config.json",
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            data = json.loads(Path(value).expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{value!r} is not a readable adapter_config.json: {error}") from None
        if not isinstance(data, dict) or "peft_type" not in data:
            raise ValueError(f"{value!r} is not an adapter_config.json: it has no peft_type")
        return data

    @property
    def unpruned_end(self) -> int:
        """AdaLoRA's steps after pruning; 0, its default, where what is written is no such count."""
        written = self.own().get("tfinal")
        return written if isinstance(written, int) and written > 0 else 0

    def own(self) -> dict[str, Any]:
        """Return the settings beside the type."""
        return dict(self.__pydantic_extra__ or {})
