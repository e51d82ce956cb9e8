"""PEFT's configuration of a LoRA² adapter."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import Enum

from peft import PeftConfig

from ..config import AdapterSettings, setting, whole


class Lora2PeftType(str, Enum):  # noqa: UP042 - PEFT and its JSON rely on `str` mixed with Enum
    """The name under which PEFT knows the method.

    An enum member, not a bare string: PEFT and transformers ask it for `.value`. It hashes and
    compares as the string "LORA2", which is what `adapter_config.json` holds.
    """

    LORA2 = "LORA2"


# Inference prunes nothing: the package that brought a scoring need not be there.
_OF_PRUNING = ("scoring", "delta_t")


@dataclass
class Lora2Config(AdapterSettings, PeftConfig):
    """Configuration of a LoRA² adapter: `ΔW = (α / r) · u U diag(λ) V v`.

    The settings are those of the section `adapter:` in YAML (`config.AdapterSettings`): each has
    its meaning in its field's metadata as PEFT's own have, docs/settings.md lists them, and
    docs/method.md explains them. PEFT's own fields (`task_type`, `inference_mode`, …) are accepted
    too.

    Raises:
        ValueError: a setting outside its range; the sentence names the rule and the value.
        TypeError: a setting of the wrong type.
    """

    modules_to_save: list[str] | None = setting(
        None, "modules trained and saved beside the adapter (the head)"
    )
    seed: int = setting(
        0, "seeds every factor and every random priority, each by its own name", whole()
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = Lora2PeftType.LORA2
        # PEFT matches suffixes against a set, and saves it as a list.
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if isinstance(self.exclude_modules, list):
            self.exclude_modules = set(self.exclude_modules)
        self._check_each()
        self.check_together()

    @property
    def gammas(self) -> list[float]:
        """γ of every plane, outer first, length P; 0 where no soft regulariser is on."""
        if self.orthogonality != "soft":
            return [0.0] * self.planes
        if isinstance(self.gamma, (list, tuple)):
            return list(self.gamma)
        return [self.gamma] * self.planes

    @property
    def gamma_of_u1(self) -> float | None:
        """γ of u₁ where its term stands apart from its plane's; None where it is part of it.

        Apart it stands where it has a weight of its own, and from `init: lora`, where R(u₁) begins
        at its largest value, √k₁, and says nothing of how training goes.
        """
        if self.orthogonality != "soft":
            return None
        if self.gamma_u1 is not None:
            return self.gamma_u1
        return self.gammas[0] if self.init == "lora" else None

    @property
    def increment_scale(self) -> float:
        """Factor of ΔW. With the configured r: a pruned matrix keeps the scale it was trained with.

        published: α / r        balanced: α / min(k₁, …, k_{P-1}, r) / `outer_norm`²
        """  # noqa: D415 - the formulas end the text
        divisor = min([*self.widths, self.r]) if self.scaling == "balanced" else self.r
        return self.lora_alpha / divisor / self.outer_norm**2

    @property
    def outer_norm(self) -> float:
        """Norm that the columns of u₁ and the rows of v₁ are held at; their start is scaled by it.

        √k₁ where scaling is balanced and there is an inner plane, else 1. Adam moves every entry
        by the learning rate η, so direction i of ΔW, u₁ U[:, i], moves by η ‖U[:, i]‖₁, about η √k₁
        in each entry: in proportion to its own norm only if that is √k₁ too.
        """
        return math.sqrt(self.widths[0]) if self.scaling == "balanced" and self.widths else 1.0

    def _check_each(self) -> None:
        for item in fields(self):
            value, rule = getattr(self, item.name), item.metadata.get("rule")
            unset = value is None and item.default is None
            if rule is None or unset or (self.inference_mode and item.name in _OF_PRUNING):
                continue
            try:
                rule(value)
            except (TypeError, ValueError) as error:
                raise type(error)(f"`{item.name}` {error}") from None
