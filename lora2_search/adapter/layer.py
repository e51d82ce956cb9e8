"""A linear layer with LoRA² beside it, and the start of its factors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, cast

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from torch.nn import functional

from .base_layers import features, keep_plain, read_weight, stored_transposed, write_weight
from .config import Lora2Config
from .factors import (
    Factors,
    delta_weight,
    factor_shapes,
    initial_factor,
    named_generator,
    through_planes,
)


def start_value(config: Lora2Config) -> float:
    """Return what every singular value starts at: 1 where u₁ starts at 0, else 0."""
    return 1.0 if config.init == "lora" else 0.0


def start_planes(
    config: Lora2Config,
    module_name: str,
    like: Factors,
    weight: Callable[[], Tensor],
) -> list[Tensor]:
    """Start weights of one matrix: every left factor, then every right one, outer plane first.

    `gaussian` and `orthonormal` draw each factor from a generator of its own (`initial_factor`).
    `svd` takes the frozen weight's leading singular directions as outer plane, and the leading part
    of the identity for inner planes that do not widen, so that λᵢ scales direction i; where there
    are fewer directions than columns, and for planes that widen, it draws orthonormal factors.
    `lora` is the orthonormal start with u₁ = 0; from the first inner plane that widens (r > k)
    inward, right factors are the left ones transposed, or the product of both would lose gain (at
    k = 8, r = 16 its singular values would lie between 0.2 and 1): U V = I, unless a plane further
    in narrows again. With λ = 1 the gradient of u₁ at the first step is that of LoRA's B beside
    A = (u₂ … u_P v_P … v₂) v₁, all others are 0.
    Hard orthogonality cannot begin at a Gaussian start: it begins at the orthonormal one, which is
    distributed as the retracted Gaussian is.

    Under balanced scaling the outermost factors start `outer_norm` times as large.

    Args:
        config: gives `init`, `init_std`, `orthogonality`, `scaling` and `seed`.
        module_name: names the generators.
        like: factors of the wanted shapes.
        weight: gives the frozen weight `[d_out, d_in]`; called for `svd` alone.

    Returns:
        2P tensors on the CPU, or where the weight is.
    """
    init = config.init
    if init in ("svd", "lora") or (init == "gaussian" and config.orthogonality == "hard"):
        init = "orthonormal"
    planes = [
        initial_factor(
            (factor.shape[0], factor.shape[1]),
            init,
            config.init_std,
            named_generator(config.seed, module_name, f"{side}{plane}"),
        )
        for side, factors in (("u", like.left), ("v", like.right))
        for plane, factor in enumerate(factors)
    ]
    if config.init == "svd":
        _follow_weight(planes, weight())
    if config.init == "lora":
        _rest_at_u1(planes)
    for outermost in (0, len(like.left)):
        planes[outermost] = planes[outermost] * config.outer_norm
    return planes


def _rest_at_u1(planes: list[Tensor]) -> None:
    """Let u₁ be 0; from the first plane that widens, right factors are the left ones transposed."""
    count = len(planes) // 2
    planes[0] = torch.zeros_like(planes[0])
    widened = False
    for inner in range(1, count):
        rows, columns = planes[inner].shape
        widened |= columns > rows
        if widened:
            planes[count + inner] = planes[inner].mT.contiguous()


def _follow_weight(planes: list[Tensor], weight: Tensor) -> None:
    """Replace drawn planes by singular directions and by the identity, where they fit."""
    count = len(planes) // 2
    width = planes[0].shape[1]
    if 0 < width <= min(weight.shape):
        planes[0], planes[count] = leading_directions(weight, width)
    for inner in range(1, count):
        rows, columns = planes[inner].shape
        if columns <= rows:
            planes[inner] = torch.eye(rows, columns)
            planes[count + inner] = torch.eye(columns, rows)


def leading_directions(weight: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Left `[d_out, count]` and right `[count, d_in]` singular vectors, largest values first.

    Exact and without random numbers: torch.svd_lowrank would draw some. About 0.7 s for 768 x 3072
    on one core. Half precision is raised to float32.

    Raises:
        torch.linalg.LinAlgError: the weight is not finite.
    """
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
    wide = weight.shape[0] < weight.shape[1]
    # LAPACK takes less than half the time for the tall orientation.
    u, _, v = torch.linalg.svd(weight.mT if wide else weight, full_matrices=False)
    u, v = (v.mT, u.mT) if wide else (u, v)
    return u[:, :count], v[:count]


class Lora2Layer(BaseTunerLayer):
    """The factors of one adapted matrix, for any number of adapters.

    Under each adapter's name `lora2_u` and `lora2_v` hold the planes, outer first, and
    `lora2_lambda` the singular values. transformers finds adapter weights by "lora2" in the name.
    """

    adapter_layer_names = ("lora2_u", "lora2_lambda", "lora2_v")
    other_param_names = ("scaling", "lora2_dropout")

    # What PEFT's untyped base provides; annotations alone, they define nothing.
    active_adapters: list[str]
    get_base_layer: Callable[[], Any]
    _cast_input_dtype: Callable[[Tensor, torch.dtype], Tensor]

    def __init__(self, base_layer: nn.Module) -> None:
        self.base_layer = base_layer
        self.lora2_u = nn.ModuleDict()
        self.lora2_lambda = nn.ParameterDict()
        self.lora2_v = nn.ModuleDict()
        self.lora2_dropout = nn.ModuleDict()
        self.scaling: dict[str, float] = {}
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self.out_features, self.in_features = features(self.get_base_layer())
        keep_plain(self.get_base_layer())

    def update_layer(
        self, adapter_name: str, config: Lora2Config, rank: int, module_name: str
    ) -> None:
        """Add an adapter whose increment is 0, so that outputs stay as they are.

        Args:
            adapter_name: the adapter to add, or to start again.
            config: its settings.
            rank: number of singular values of this matrix; 0 is allowed.
            module_name: this layer's name in the base model; it names the random generators.
        """
        shapes = factor_shapes(self.out_features, self.in_features, config.widths, rank)
        self.lora2_u[adapter_name], self.lora2_v[adapter_name] = map(_to_be_filled, shapes)
        # Device and dtype named outright: the caller may build its model under other defaults.
        self.lora2_lambda[adapter_name] = nn.Parameter(
            torch.zeros(rank, device="cpu", dtype=torch.float32)
        )
        if not self._is_meta(adapter_name):
            self._start(adapter_name, config, module_name)
        self.lora2_dropout[adapter_name] = (
            nn.Dropout(config.lora_dropout) if config.lora_dropout > 0 else nn.Identity()
        )
        self.scaling[adapter_name] = config.increment_scale
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def _is_meta(self, adapter_name: str) -> bool:
        """Whether there is nothing to compute: counting alone, or weights that are still to come.

        PEFT's `low_cpu_mem_usage` puts new parameters on the meta device as they are registered.
        """
        return self.lora2_lambda[adapter_name].is_meta or self.get_base_layer().weight.is_meta

    @torch.no_grad()
    def _start(self, adapter_name: str, config: Lora2Config, module_name: str) -> None:
        factors, base = self.factors(adapter_name), self.get_base_layer()
        planes = start_planes(config, module_name, factors, lambda: read_weight(base))
        for factor, drawn in zip((*factors.left, *factors.right), planes, strict=True):
            factor.copy_(drawn)
        factors.values.fill_(start_value(config))

    def factors(self, adapter_name: str) -> Factors:
        """The trained tensors of one adapter, as they are (not copied)."""
        left = cast(nn.ParameterList, self.lora2_u[adapter_name])
        right = cast(nn.ParameterList, self.lora2_v[adapter_name])
        return Factors(tuple(left), self.lora2_lambda[adapter_name], tuple(right))


class Linear(nn.Module, Lora2Layer):
    """`y = x W0ᵀ + b + (α / r) · x v₁ᵀ … diag(λ) … u₁ᵀ`, at the cost of a rank-k₁ LoRA."""

    def __init__(
        self,
        base_layer: nn.Module,
        adapter_name: str,
        config: Lora2Config,
        rank: int,
        module_name: str,
    ) -> None:
        super().__init__()
        Lora2Layer.__init__(self, base_layer)
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config, rank, module_name)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Output of the frozen layer plus the increments of all active adapters.

        Args:
            x: `[..., d_in]`; cast to the factors' dtype, and the increment back again.
            *args: passed on to the frozen layer.
            **kwargs: passed on to the frozen layer.

        Returns:
            `[..., d_out]`, in the frozen layer's dtype.
        """
        if self.disable_adapters and self.merged:
            self.unmerge()
        result: Tensor = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        for adapter_name in self.active_adapters:
            if adapter_name in self.lora2_lambda:
                result = self._add_increment(result, x, adapter_name)
        return result

    def _add_increment(self, result: Tensor, x: Tensor, adapter_name: str) -> Tensor:
        factors, scaling = self.factors(adapter_name), self.scaling[adapter_name]
        x = self._cast_input_dtype(x, factors.values.dtype)
        x = functional.linear(self.lora2_dropout[adapter_name](x), factors.right[0])  # [..., k₁]
        x = through_planes(x, factors)  # [..., k₁]
        outer = factors.left[0]
        if x.dtype != result.dtype:
            return result + (functional.linear(x, outer) * scaling).to(result.dtype)
        # One pass over [..., d_out] that multiplies, scales and adds; LoRA makes three.
        flat = result.reshape(-1, self.out_features)
        x = x.reshape(len(flat), x.shape[-1])
        return torch.addmm(flat, x, outer.T, alpha=scaling).view(result.shape)

    def get_delta_weight(self, adapter_name: str) -> Tensor:
        """ΔW of one adapter, in the frozen weight's orientation: `[d_out, d_in]`, Conv1D's turned.

        Float32 when the factors are half precision.
        """
        delta = delta_weight(self.factors(adapter_name), self.scaling[adapter_name])
        return delta.mT if stored_transposed(self.get_base_layer()) else delta

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add ΔW of the adapters (default: the active ones) to the frozen weight.

        Args:
            safe_merge: check the sum first, and change nothing if it is not finite.
            adapter_names: the adapters to merge; those merged already are left out.

        Raises:
            ValueError: `safe_merge` found values that are not finite.
        """
        base = self.get_base_layer()
        for adapter_name in check_adapters_to_merge(self, adapter_names):
            if adapter_name not in self.lora2_lambda:
                continue
            merged = read_weight(base) + self._delta(adapter_name)
            if safe_merge and not torch.isfinite(merged).all():
                raise ValueError(
                    "NaNs detected in the merged weights. "
                    f"The adapter {adapter_name} seems to be broken"
                )
            write_weight(base, merged)
            self.merged_adapters.append(adapter_name)

    def unmerge(self) -> None:
        """Subtract the merged increments again; exact up to rounding."""
        if not self.merged:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        base = self.get_base_layer()
        while self.merged_adapters:
            write_weight(base, read_weight(base) - self._delta(self.merged_adapters.pop()))

    @torch.no_grad()
    def _delta(self, adapter_name: str) -> Tensor:
        return delta_weight(self.factors(adapter_name), self.scaling[adapter_name])

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        """Whether PEFT can turn the adapter into a plain LoRA: it only adds ΔW, so yes."""
        return True

    def __repr__(self) -> str:
        return "lora2." + super().__repr__()


def _to_be_filled(shapes: list[tuple[int, int]]) -> nn.ParameterList:
    empty = (torch.empty(shape, device="cpu", dtype=torch.float32) for shape in shapes)
    return nn.ParameterList(nn.Parameter(values) for values in empty)
