"""The frozen layer below an adapter: which modules match, and quantized weights."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, cast

import torch
from peft.tuners.tuners_utils import Conv1D  # transformers' own: GPT-2's linear layer
from peft.utils.integrations import dequantize_bnb_weight, get_bnb_param_type
from torch import Tensor, nn


def nearest_modules(model: nn.Module, targets: str | Iterable[str]) -> str:
    """A sentence naming the adaptable modules that are spelt most like the targets.

    Where nothing is alike (a regular expression, say) it lists what there is, at most eight names.

    Args:
        model: the base model.
        targets: the suffixes, or the expression, that matched nothing.
    """
    linear = (name for name, module in model.named_modules() if is_adaptable(module))
    # Below an adapter of its own, a layer is called "….base_layer".
    endings = sorted({n.removesuffix(".base_layer").rpartition(".")[2] for n in linear} - {""})
    if not endings:
        return "The model has no linear layers."
    requested = [targets] if isinstance(targets, str) else sorted(targets)
    near = [
        name
        for target in requested
        for name in difflib.get_close_matches(target.rpartition(".")[2], endings)
    ]
    if near:
        return f"The nearest linear layers are {', '.join(dict.fromkeys(near))}."
    shown = ", ".join(endings[:8]) + (", …" if len(endings) > 8 else "")
    return f"The linear layers of this model are {shown}."


def is_quantized(module: nn.Module) -> bool:
    """Whether the layer's weight is packed in 4 or 8 bits.

    An 8-bit layer that was set to keep its weights (`has_fp16_weights`) is not, nor is a 4-bit
    one that has not been moved to its device yet.
    """
    weight: Any = module.weight
    return bool(get_bnb_param_type(weight)) and not weight.dtype.is_floating_point


def keep_plain(module: Any) -> None:
    """Keep a 4-bit weight in the layout that gradients and merges can read.

    On a CPU with AVX512-BF16 bitsandbytes repacks the weight at the first forward without
    gradients. From then on the layer passes no gradient to its input and its dequantised weight is
    wrong, in training too.
    """
    if get_bnb_param_type(module.weight) == "4bit":
        module.support_avx512bf16_for_cpu = False
        module.state_dict()  # saving takes a weight that is packed already back to plain


def dequantize(module: nn.Module) -> Tensor:
    """The weight `[d_out, d_in]` that a quantised layer stands for."""
    weight: Any = module.weight
    if get_bnb_param_type(weight) == "4bit":
        return dequantize_bnb_weight(weight, state=weight.quant_state)
    return dequantize_bnb_weight(weight, state=_filled_state(module))


def requantize(module: Any, weight: Tensor) -> None:
    """Quantise a weight `[d_out, d_in]` into the layer, on its device and with its settings."""
    from bitsandbytes.nn import Int8Params, Params4bit

    old = module.weight
    if get_bnb_param_type(old) == "4bit":
        # torch.compile leaves attributes that begin with "_" and that the class does not take.
        settings = {k: v for k, v in vars(old).items() if not k.startswith("_") and k != "data"}
        settings |= {"requires_grad": False, "bnb_quantized": False}
        new: Any = Params4bit(weight.cpu(), **settings)
    else:
        new = Int8Params(weight.cpu(), requires_grad=False, has_fp16_weights=False)
        module.state.reset_grads()
    module.weight = new.to(old.device)  # quantised on its way to the device


def _filled_state(module: Any) -> Any:
    """The layer's 8-bit state; before the first forward the scales are still at the weight."""
    if module.state.SCB is None:
        module.state.SCB = module.weight.SCB
    return module.state


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
