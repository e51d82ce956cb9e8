"""Settings of a LoRA² adapter, checked when they are made."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from enum import Enum
from numbers import Integral, Real
from typing import Any

from peft import PeftConfig

from ..config import (
    ALLOCATIONS,
    BUDGETS,
    INITS,
    ORTHOGONALITIES,
    PENALTIES,
    SCALINGS,
    SCORE_LOSSES,
    scorings,
)


class Lora2PeftType(str, Enum):  # noqa: UP042 - PEFT and its JSON rely on `str` mixed with Enum
    """The name under which PEFT knows the method.

    An enum member, not a bare string: PEFT and transformers ask it for `.value`. It hashes and
    compares as the string "LORA2", which is what `adapter_config.json` holds.
    """

    LORA2 = "LORA2"


@dataclass
class Lora2Config(PeftConfig):
    """Configuration of a LoRA² adapter: `ΔW = (α / r) · u U diag(λ) V v`.

    PEFT's own fields (`task_type`, `inference_mode`, …) are accepted too.

    Attributes:
        k: width of the outer plane; a list of widths, outer first, makes more planes
            (`[16, 8]`: three) and `[]` a single one (AdaLoRA's form).
        r: number of singular values per matrix, before pruning; may exceed `k`.
        lora_alpha: α; the increment is scaled by `lora_alpha / r`.
        scaling: "published" divides α by r. "balanced" divides it by the rank that ΔW can have,
            and holds the columns of u₁ and the rows of v₁ at norm √k₁ instead of 1, so that one
            learning rate suits other k, r and P too (`outer_norm`, docs/method.md).
        lora_dropout: probability of dropping an input of the adapter, in [0, 1).
        target_modules: suffixes, a regular expression or "all-linear"; None takes
            `default_targets` of the model's type.
        exclude_modules: modules to leave alone, as suffixes or a regular expression.
        modules_to_save: modules trained and saved beside the adapter (the head).
        layers_to_transform: indices of the blocks to adapt; None adapts all.
        layers_pattern: name of the list of blocks, where PEFT cannot tell it.
        rank_pattern: other ranks than `r` by module name; 0 is a rank.
        orthogonality: how factors are kept orthonormal: "soft" (by `gamma`, published), "hard"
            (retracted after every optimiser step; a Gaussian start becomes an orthonormal one,
            which λ = 0 keeps from changing ΔW) or "none".
        gamma: weight of the soft regularisers, one number or one per plane.
        gamma_u1: another weight for u₁ alone, the left factor of the outer plane; 0 leaves it free,
            None weighs it as the rest of its plane.
        gamma_cross: weight of the overlap of neighbouring planes in the loss (soft only). From
            `init: lora` it grows with u₁, see `Lora2Model.regularization`.
        penalty: norm of the soft regularisers, "frobenius" (published) or "squared".
        init: start of the factors. "gaussian" (published), "orthonormal" and "svd" (the leading
            singular directions of the frozen weight) start with λ = 0; "lora" with u₁ = 0, λ = 1
            and all other factors orthonormal, so that the first step moves u₁ as it moves LoRA's B.
        init_std: standard deviation of the Gaussian start (published: 0.02).
        seed: seeds every factor and every random priority, each by its own name.
        scoring: how singular values are ranked for pruning: "reduced" (the paper's), "thinned"
            (the same, looked at on 4 of 9 steps), "full" (AdaLoRA's), "values", "sensitivity",
            "magnitude", "random", "none", or a name that an installed package brings
            (`lora2_search.config.vocabulary.scorings`).
        score_loss: whose gradient is scored: of the "total" loss (published), or of the "task"
            loss, without the regularisers.
        allocation: "global" shares one budget among all matrices (published); "per-matrix"
            gives each its part.
        budget: descent of the budget: "cubic" (published), "linear", or "constant" (the target
            from the first mask on).
        target_rank: mean kept rank per matrix at the end; None or `r` prunes nothing.
        t_init: steps before pruning starts; an int, or a fraction of all steps below 1.
        t_final: last steps, during which the mask is fixed; int or fraction.
        delta_t: steps between two masks; int or fraction.
        beta1: decay of the averaged sensitivity.
        beta2: decay of the averaged uncertainty.

    Raises:
        ValueError: a setting outside its range; the sentence names the rule and the value.
        TypeError: a setting of the wrong type.
    """

    k: int | list[int] = 8
    r: int = 8
    lora_alpha: float = 16
    scaling: str = "published"
    lora_dropout: float = 0.0
    target_modules: list[str] | set[str] | str | None = None
    exclude_modules: list[str] | set[str] | str | None = None
    modules_to_save: list[str] | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None
    rank_pattern: dict[str, int] | None = None
    orthogonality: str = "soft"
    gamma: float | list[float] = 0.1
    gamma_u1: float | None = None
    gamma_cross: float = 0.0
    penalty: str = "frobenius"
    init: str = "gaussian"
    init_std: float = 0.02
    seed: int = 0
    scoring: str = "reduced"
    score_loss: str = "total"
    allocation: str = "global"
    budget: str = "cubic"
    target_rank: float | None = None
    t_init: float = 0.1
    t_final: float = 0.5
    delta_t: float = 1
    beta1: float = 0.85
    beta2: float = 0.85

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = Lora2PeftType.LORA2
        # PEFT matches suffixes against a set, and saves it as a list.
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if isinstance(self.exclude_modules, list):
            self.exclude_modules = set(self.exclude_modules)
        self._check_shape()
        self._check_start()
        self._check_pruning()
        self._check_targets()

    @property
    def widths(self) -> list[int]:
        """Widths k₁ … k_{P-1} of all planes but the innermost, outer first."""
        return list(self.k) if isinstance(self.k, (list, tuple)) else [self.k]

    @property
    def gammas(self) -> list[float]:
        """γ of every plane, outer first, length P; 0 where no soft regulariser is on."""
        if self.orthogonality != "soft":
            return [0.0] * (len(self.widths) + 1)
        if isinstance(self.gamma, (list, tuple)):
            return list(self.gamma)
        return [self.gamma] * (len(self.widths) + 1)

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

    @property
    def prunes(self) -> bool:
        """Whether anything is to be cut: a scoring and a target below the starting rank."""
        return self.scoring != "none" and self.target_rank not in (None, self.r)

    def _check_shape(self) -> None:
        for width in self.widths:
            _check_whole("k", width, at_least=1)
        _check_whole("r", self.r, at_least=1)
        for name, rank in (self.rank_pattern or {}).items():
            _check_whole(f"rank_pattern[{name!r}]", rank, at_least=0)
        if self.target_rank is not None and not 0 <= _real("target_rank", self.target_rank):
            raise ValueError(f"`target_rank` must be at least 0, but got {self.target_rank}.")
        if self.target_rank is not None and self.target_rank > self.r:
            raise ValueError(
                f"`target_rank` must not exceed `r`, but got target_rank={self.target_rank}, "
                f"r={self.r}."
            )

    def _check_targets(self) -> None:
        if self.target_modules is not None and not self.target_modules:
            raise ValueError("`target_modules` must name a module, but got none.")
        for name in ("layers_to_transform", "layers_pattern"):
            if isinstance(self.target_modules, str) and getattr(self, name) is not None:
                raise ValueError(f"`{name}` cannot be used when `target_modules` is a str.")
        if self.layers_pattern is not None and self.layers_to_transform is None:
            raise ValueError(
                "When `layers_pattern` is specified, `layers_to_transform` must also be specified."
            )
        indices = self.layers_to_transform
        for index in indices if isinstance(indices, (list, tuple)) else [indices]:
            if index is not None:
                _check_whole("layers_to_transform", index, at_least=0)

    def _check_start(self) -> None:
        _check_name("init", self.init, INITS)
        _check_name("orthogonality", self.orthogonality, ORTHOGONALITIES)
        _check_name("scaling", self.scaling, SCALINGS)
        _check_name("penalty", self.penalty, PENALTIES)
        _check_whole("seed", self.seed)
        if self.init == "lora" and self.orthogonality == "hard":
            raise ValueError(
                "`init='lora'` starts with u₁ = 0, which has no nearest orthonormal matrix, so "
                "`orthogonality='hard'` cannot begin there: take 'soft' or 'none', or "
                "`init='orthonormal'`."
            )
        if _real("init_std", self.init_std) <= 0:
            raise ValueError(f"`init_std` must be greater than 0, but got {self.init_std}.")
        if _real("lora_alpha", self.lora_alpha) <= 0:
            raise ValueError(f"`lora_alpha` must be greater than 0, but got {self.lora_alpha}.")
        if not 0 <= _real("lora_dropout", self.lora_dropout) < 1:
            raise ValueError(f"`lora_dropout` must be in [0, 1), but got {self.lora_dropout}.")
        planes = len(self.widths) + 1
        gammas = self.gamma if isinstance(self.gamma, (list, tuple)) else [self.gamma] * planes
        if len(gammas) != planes:
            raise ValueError(
                f"`gamma` must be one number or one per plane ({planes} here), "
                f"but got {self.gamma}."
            )
        if any(_real("gamma", gamma) < 0 for gamma in gammas):
            raise ValueError(f"`gamma` must be at least 0, but got {self.gamma}.")
        if self.gamma_u1 is not None and _real("gamma_u1", self.gamma_u1) < 0:
            raise ValueError(f"`gamma_u1` must be at least 0, but got {self.gamma_u1}.")
        if _real("gamma_cross", self.gamma_cross) < 0:
            raise ValueError(f"`gamma_cross` must be at least 0, but got {self.gamma_cross}.")

    def _check_pruning(self) -> None:
        # Inference scores nothing: the package that brought the name need not be there.
        if not self.inference_mode:
            _check_name("scoring", self.scoring, scorings())
        _check_name("score_loss", self.score_loss, SCORE_LOSSES)
        _check_name("allocation", self.allocation, ALLOCATIONS)
        _check_name("budget", self.budget, BUDGETS)
        for name in ("beta1", "beta2"):
            if not 0 < _real(name, getattr(self, name)) < 1:
                raise ValueError(
                    f"`{name}` must lie between 0 and 1, both excluded, "
                    f"but got {getattr(self, name)}."
                )
        for name, least in (("t_init", 0), ("t_final", 0), ("delta_t", 1)):
            _check_steps(name, getattr(self, name), at_least=least)
        if _is_fraction(self.t_init) and _is_fraction(self.t_final):
            if self.t_init + self.t_final >= 1:
                raise ValueError(
                    "`t_init` + `t_final` must be less than the whole run (1), "
                    f"but got t_init={self.t_init}, t_final={self.t_final}."
                )


def _is_fraction(value: float) -> bool:
    return not isinstance(value, Integral)


def _real(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a number, but got {value!r}.")
    if not math.isfinite(value):
        raise ValueError(f"`{name}` must be finite, but got {value}.")
    return float(value)


def _check_whole(name: str, value: Any, at_least: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"`{name}` must be a whole number, but got {value!r}.")
    if at_least is not None and value < at_least:
        raise ValueError(f"`{name}` must be at least {at_least}, but got {value}.")


def _check_steps(name: str, value: Any, at_least: int) -> None:
    _real(name, value)
    if not _is_fraction(value):
        _check_whole(name, value, at_least)
    elif not 0 <= value < 1:
        raise ValueError(
            f"`{name}` must be a whole number of steps or a fraction in [0, 1) of them, "
            f"but got {value}."
        )


def _check_name(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value in known:
        return
    near = difflib.get_close_matches(str(value), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"`{name}` must be one of {', '.join(known)}, but got {value!r}.{hint}")
