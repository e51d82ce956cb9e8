"""The frozen weight below an adapter, however it is stored: plain, transposed or quantised."""

from typing import cast

import torch
from peft.tuners.tuners_utils import Conv1D  # transformers' own: GPT-2's linear layer
from torch import Tensor, nn

from .quantized import dequantize, is_quantized, requantize

# MultiheadAttention reads the weight of its output projection and never calls the layer.
_NeverCalled = torch.nn.modules.linear.NonDynamicallyQuantizableLinear


def is_adaptable(module: nn.Module) -> bool:
    """Whether it is a torch.nn.Linear, in 4 or 8 bits too, or transformers' Conv1D."""
    return isinstance(module, (nn.Linear, Conv1D)) and not isinstance(module, _NeverCalled)


def check_adaptable(module: nn.Module, name: str) -> None:
    """Refuse what is not adaptable.

    Raises:
        TypeError: the layer is of another kind; the sentence names the layer and its kind.
    """
    if not is_adaptable(module):
        raise TypeError(
            "LoRA² adapts linear layers only (torch.nn.Linear, bitsandbytes' 4- and 8-bit ones, "
            f"Conv1D), but target module {name!r} is a {type(module).__name__}."
        )


def stored_transposed(module: nn.Module) -> bool:
    """Whether the layer keeps `[d_in, d_out]`, as GPT-2's Conv1D does."""
    return isinstance(module, Conv1D)


def features(module: nn.Module) -> tuple[int, int]:
    """d_out and d_in of an adaptable layer, also on the meta device and when quantised."""
    if stored_transposed(module):
        d_in, d_out = cast(Tensor, module.weight).shape
        return d_out, d_in
    linear = cast(nn.Linear, module)
    return linear.out_features, linear.in_features


def read_weight(module: nn.Module) -> Tensor:
    """The frozen weight as it acts, `[d_out, d_in]`: dequantised; a view where it is plain."""
    if is_quantized(module):
        return dequantize(module)
    weight = cast(Tensor, module.weight).detach()
    return weight.mT if stored_transposed(module) else weight


def write_weight(module: nn.Module, weight: Tensor) -> None:
    """Put another weight `[d_out, d_in]` in its place, rounded or quantised as the layer has it."""
    if is_quantized(module):
        requantize(module, weight)
        return
    stored = cast(Tensor, module.weight)
    weight = weight.mT.contiguous() if stored_transposed(module) else weight
    stored.data = weight.to(stored.dtype)
