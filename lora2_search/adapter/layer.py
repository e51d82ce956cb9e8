"""A linear layer with LoRA² increments beside its frozen weight."""

import warnings
from collections.abc import Callable
from typing import Any, cast

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from torch.nn import functional as F

from .config import Lora2Config
from .factors import (
    Factors,
    contract,
    delta_weight,
    factor_shapes,
    initial_factor,
    named_generator,
)


class Lora2Layer(BaseTunerLayer):
    """The factors of one adapted matrix, for any number of adapters.

    Under each adapter's name `lora2_u` and `lora2_v` hold the planes, outer first, and
    `lora2_lambda` the singular values. transformers finds adapter weights by "lora2" in the name.
    """

    adapter_layer_names = ("lora2_u", "lora2_lambda", "lora2_v")
    other_param_names = ("scaling", "lora2_dropout")

    # What PEFT's untyped base provides; annotations alone, they define nothing.
    active_adapters: list[str]
    get_base_layer: Callable[[], nn.Linear]
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
        linear = self.get_base_layer()
        self.in_features: int = linear.in_features
        self.out_features: int = linear.out_features

    def update_layer(
        self, adapter_name: str, config: Lora2Config, rank: int, module_name: str
    ) -> None:
        """Add an adapter whose λ is 0, so that outputs stay as they are.

        Args:
            adapter_name: the adapter to add, or to start again.
            config: its settings.
            rank: number of singular values of this matrix; 0 is allowed.
            module_name: this layer's name in the base model; it names the random generators.
        """

        def start(side: str, shapes: list[tuple[int, int]]) -> nn.ParameterList:
            planes = []
            for plane, shape in enumerate(shapes):
                generator = named_generator(config.seed, module_name, f"{side}{plane}")
                planes.append(initial_factor(shape, config.init, config.init_std, generator))
            return nn.ParameterList(planes)

        left, right = factor_shapes(self.out_features, self.in_features, config.widths, rank)
        self.lora2_u[adapter_name] = start("u", left)
        self.lora2_lambda[adapter_name] = nn.Parameter(torch.zeros(rank))
        self.lora2_v[adapter_name] = start("v", right)
        self.lora2_dropout[adapter_name] = (
            nn.Dropout(config.lora_dropout) if config.lora_dropout > 0 else nn.Identity()
        )
        self.scaling[adapter_name] = config.scaling
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

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
                result = result + self._increment(x, adapter_name).to(result.dtype)
        return result

    def _increment(self, x: Tensor, adapter_name: str) -> Tensor:
        left, right = contract(self.factors(adapter_name), self.scaling[adapter_name])
        x = self.lora2_dropout[adapter_name](self._cast_input_dtype(x, right.dtype))
        return F.linear(F.linear(x, right), left)  # [..., d_in] -> [..., k₁] -> [..., d_out]

    def get_delta_weight(self, adapter_name: str) -> Tensor:
        """ΔW of one adapter, `[d_out, d_in]`; float32 when the factors are half precision."""
        return delta_weight(self.factors(adapter_name), self.scaling[adapter_name])

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add ΔW of the adapters (default: the active ones) to the frozen weight.

        Args:
            safe_merge: check the sum first, and change nothing if it is not finite.
            adapter_names: the adapters to merge; those merged already are left out.

        Raises:
            ValueError: `safe_merge` found values that are not finite.
        """
        for adapter_name in check_adapters_to_merge(self, adapter_names):
            if adapter_name not in self.lora2_lambda:
                continue
            weight = self.get_base_layer().weight
            merged = weight.data + self.get_delta_weight(adapter_name).detach()
            if safe_merge and not torch.isfinite(merged).all():
                raise ValueError(
                    "NaNs detected in the merged weights. "
                    f"The adapter {adapter_name} seems to be broken"
                )
            weight.data = merged.to(weight.dtype)
            self.merged_adapters.append(adapter_name)

    def unmerge(self) -> None:
        """Subtract the merged increments again; exact up to rounding."""
        if not self.merged:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        while self.merged_adapters:
            delta = self.get_delta_weight(self.merged_adapters.pop()).detach()
            weight = self.get_base_layer().weight
            weight.data = (weight.data - delta).to(weight.dtype)

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        """Whether PEFT can turn the adapter into a plain LoRA: it only adds ΔW, so yes."""
        return True

    def __repr__(self) -> str:
        return "lora2." + super().__repr__()
