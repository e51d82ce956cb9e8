"""Weights that bitsandbytes keeps in 4 or 8 bits: read them, and write changed ones back.

bitsandbytes is optional: it is imported here alone, and only where a layer of its kind exists.
A merge dequantises, adds and quantises again, as PEFT's own LoRA does, so it is not exact.
"""

from typing import Any

from peft.utils.integrations import dequantize_bnb_weight, get_bnb_param_type
from torch import Tensor, nn


def is_quantized(module: nn.Module) -> bool:
    """Whether the layer's weight is packed in 4 or 8 bits.

    An 8-bit layer that was told to keep its weights (`has_fp16_weights`) is not, nor is a 4-bit
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
