"""The settings of a LoRA² adapter, declared once: name, type, default, meaning and rule.

PEFT's `Lora2Config` and the section `adapter:` of a YAML file inherit them, so this module knows
neither torch nor pydantic. Both check the types that stand here in their own way, and the rules in
this one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

from ..errors import nearest
from .vocabulary import (
    ALLOCATIONS,
    BUDGETS,
    INITS,
    ORTHOGONALITIES,
    PENALTIES,
    SCALINGS,
    SCORE_LOSSES,
    SCORINGS,
    Allocation,
    Budget,
    Init,
    Orthogonality,
    Penalty,
    Scaling,
    ScoreLoss,
    scorings,
)

# Returns where a value is right, else raises a TypeError or ValueError that begins with "must".
Rule = Callable[[Any], None]


def whole(at_least: int | None = None) -> Rule:
    """Return the rule of a whole number."""

    def check(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(f"must be a whole number, but got {value!r}")
        if at_least is not None and int(value) < at_least:
            raise ValueError(f"must be at least {at_least}, but got {value}")

    return check


def real(range_: str, holds: Callable[[float], bool]) -> Rule:
    """Return the rule of a finite number in a range, which is named as in "must be at least 0"."""

    def check(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"must be a number, but got {value!r}")
        if not math.isfinite(value):
            raise ValueError(f"must be finite, but got {value}")
        if not holds(float(value)):
            raise ValueError(f"must be {range_}, but got {value}")

    return check


def steps(at_least: int) -> Rule:
    """Return the rule of a number of steps, 0 or 1 at least, or of a fraction of all steps."""
    counted = whole(at_least)
    fraction = real(
        f"a whole number of steps or a fraction {'below' if at_least == 0 else 'between 0 and'} 1 "
        "of them",
        lambda value: 0 <= value < 1 and (value > 0 or at_least == 0),
    )
    return lambda value: (counted if isinstance(value, Integral) else fraction)(value)


def one_of(known: Sequence[str]) -> Rule:
    """Return the rule of a name."""

    def check(value: Any) -> None:
        if value not in known:
            near = nearest(str(value), known)
            hint = "" if near is None else f'; did you mean "{near}"?'
            raise ValueError(f"must be one of {', '.join(known)}, but got {value!r}{hint}")

    return check


def each(rule: Rule) -> Rule:
    """Return the rule of one value or of several, each of which ``rule`` holds for."""

    def check(value: Any) -> None:
        for item in value if isinstance(value, list | tuple) else [value]:
            rule(item)

    return check


def _pattern(value: Any) -> None:
    # PEFT matches names in a list as suffixes, and a string as a regular expression.
    if not isinstance(value, str):
        return
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"must be a regular expression, but got {value!r}: {error}") from None


def _scoring(value: Any) -> None:
    one_of(scorings())(value)


def _targets(value: Any) -> None:
    if not value:
        raise ValueError("must name a module, but got none")
    _pattern(value)


def _ranks(value: Any) -> None:
    for name, rank in value.items():
        _pattern(name)
        try:
            whole(at_least=0)(rank)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{error} for {name!r}") from None


_AT_LEAST_0 = real("at least 0", lambda value: value >= 0)
_ABOVE_0 = real("greater than 0", lambda value: value > 0)
_BELOW_1 = real("in [0, 1)", lambda value: 0 <= value < 1)
_INSIDE_1 = real("between 0 and 1, both excluded", lambda value: 0 < value < 1)

# PEFT's LoRA and what it calls variants of it.
LORAS = ("lora", "rslora", "pissa", "lora-plus", "dora")
# PEFT's own methods that share a setting.
_ALL = (*LORAS, "adalora")


def setting(default: Any, help: str, rule: Rule | None = None, peft: Sequence[str] = ()) -> Any:
    """Return a field of the declaration.

    Args:
        default: Its default; where that is ``None`` the rule is not asked about ``None``.
        help: What it does, as PEFT's own configurations have it.
        rule: What its value must fulfil, beside its type.
        peft: Methods of PEFT's own that look at it too.
    """
    return field(default=default, metadata={"help": help, "rule": rule, "peft": tuple(peft)})


@dataclass(eq=False)
class AdapterSettings:
    """What decides how an adapter is built, regularised, scored and pruned."""

    k: int | list[int] = setting(
        8, "width of the outer plane; [16, 8] makes three planes, [] one", each(whole(at_least=1))
    )
    r: int = setting(
        8, "width of the inner plane: the starting rank; may exceed `k`", whole(at_least=1), _ALL
    )
    target_rank: int | float | None = setting(
        None,
        "mean rank left after pruning (may be fractional); 0 leaves none; default: `r`",
        _AT_LEAST_0,
        ("adalora",),
    )
    lora_alpha: float = setting(16, "the increment is scaled by lora_alpha / r", _ABOVE_0, _ALL)
    scaling: Scaling = setting(
        "published",
        "balanced: one learning rate fits other k, r and planes too (docs/method.md)",
        one_of(SCALINGS),
    )
    lora_dropout: float = setting(0.0, "dropout on the adapter's input", _BELOW_1, _ALL)
    orthogonality: Orthogonality = setting(
        "soft",
        "soft: by gamma; hard: retracted after every step, from `init: lora` all but u₁",
        one_of(ORTHOGONALITIES),
        ("adalora",),
    )
    gamma: float | list[float] = setting(
        0.1,
        "weight of the orthogonality regularisers; or one per plane",
        each(_AT_LEAST_0),
        ("adalora",),
    )
    gamma_u1: float | None = setting(
        None,
        "separate weight for u₁; 0 leaves it free; default: the weight of its plane",
        _AT_LEAST_0,
    )
    gamma_cross: float = setting(
        0.0, "weight of the overlap of neighbouring planes (soft only)", _AT_LEAST_0
    )
    penalty: Penalty = setting(
        "frobenius",
        "norm of the regularisers; the published norm is not squared",
        one_of(PENALTIES),
    )
    init: Init = setting(
        "gaussian",
        "initialisation with λ = 0; svd: the leading singular directions of the weight; lora: "
        "u₁ = 0, λ = 1, the others orthonormal",
        one_of(INITS),
    )
    init_std: float = setting(0.02, "standard deviation of the Gaussian initialisation", _ABOVE_0)
    scoring: str = setting(
        "reduced",
        f"which singular values survive: {', '.join(SCORINGS)}, or one from another package",
        _scoring,
    )
    score_loss: ScoreLoss = setting(
        "total", "task leaves the regularisers out of the score", one_of(SCORE_LOSSES)
    )
    allocation: Allocation = setting(
        "global", "one budget for all matrices, or one per matrix", one_of(ALLOCATIONS)
    )
    budget: Budget = setting(
        "cubic",
        "how the rank budget falls from r to target_rank; constant: at once",
        one_of(BUDGETS),
    )
    t_init: int | float = setting(0.1, "steps before pruning begins", steps(0), ("adalora",))
    t_final: int | float = setting(0.5, "steps after pruning has ended", steps(0), ("adalora",))
    delta_t: int | float = setting(1, "steps between two prunings", steps(1), ("adalora",))
    beta1: float = setting(0.85, "decay of the averaged sensitivity", _INSIDE_1, ("adalora",))
    beta2: float = setting(0.85, "decay of the averaged uncertainty", _INSIDE_1, ("adalora",))
    target_modules: list[str] | set[str] | str | None = setting(
        None,
        "suffixes, a regular expression or all-linear; default: all linear layers of each block",
        _targets,
        _ALL,
    )
    exclude_modules: list[str] | set[str] | str | None = setting(
        None, "modules to leave alone, as suffixes or a regular expression", _pattern, _ALL
    )
    layers_to_transform: list[int] | int | None = setting(
        None, "indices of the blocks to adapt; default: all", each(whole(at_least=0)), _ALL
    )
    layers_pattern: list[str] | str | None = setting(
        None, "name of the list of blocks, if PEFT cannot find it", each(_pattern), _ALL
    )
    rank_pattern: dict[str, int] | None = setting(
        None, "ranks other than r, by module name; 0 is allowed", _ranks, LORAS
    )

    @property
    def widths(self) -> list[int]:
        """Widths k₁ … k_{P-1} of all planes but the innermost, outer first."""
        return list(self.k) if isinstance(self.k, list | tuple) else [self.k]

    @property
    def planes(self) -> int:
        """Number of planes: one more than there are widths in ``k``."""
        return len(self.widths) + 1

    @property
    def prunes(self) -> bool:
        """Whether anything is to be cut: a scoring, and a target below the starting rank."""
        return self.scoring != "none" and self.target_rank not in (None, self.r)

    def check_together(self) -> None:
        """Check what the settings ask of each other; each alone is right.

        Raises:
            ValueError: Two settings do not go together; the sentence says which and why.
        """
        if self.target_rank is not None and self.target_rank > self.r:
            raise ValueError(
                f"target_rank must be at most r, but got target_rank={self.target_rank}, r={self.r}"
            )
        fractions = [t for t in (self.t_init, self.t_final) if not isinstance(t, Integral)]
        if len(fractions) == 2 and sum(fractions) >= 1:
            raise ValueError(
                f"t_init + t_final must be less than the whole run (1), but got "
                f"t_init={self.t_init}, t_final={self.t_final}"
            )
        if isinstance(self.gamma, list | tuple) and len(self.gamma) != self.planes:
            raise ValueError(
                f"gamma must be one number or one per plane ({self.planes}), got {self.gamma}"
            )
        self._check_layers()

    def _check_layers(self) -> None:
        for name in ("layers_to_transform", "layers_pattern"):
            if isinstance(self.target_modules, str) and getattr(self, name) is not None:
                raise ValueError(
                    f"{name} cannot be used when target_modules is one string, but got "
                    f"target_modules={self.target_modules!r}; write the layers into the expression"
                )
        if self.layers_pattern is not None and self.layers_to_transform is None:
            raise ValueError(
                f"layers_pattern says where layers_to_transform counts, but got layers_pattern="
                f"{self.layers_pattern!r} without layers_to_transform; set both"
            )
