"""A checksum of a model's tensors: cheap enough to be taken after every evaluation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Of a tensor's 32-bit words: a block and its weights stay in a core's cache.
_BLOCK = 1 << 16


def checksums(model: nn.Module) -> dict[str, int]:
    """Return a checksum of every parameter and buffer of a model, by name.

    Of its bits, where it lies: a value that is written back changes nothing, one that moves to
    another place does. The same on every device.
    """
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: checksum(tensor) for name, tensor in named}


def checksum(tensor: Tensor) -> int:
    """Return a checksum of one tensor of any shape and type: its words, weighted by position.

    A word counts as an integer, times an odd number of its place in the block, times a power of
    31 for the block, modulo 2^64. Odd, so that no bit is ever multiplied away.
    """
    bits = tensor.detach().reshape(-1).view(torch.uint8)
    if bits.numel() % 4 == 0 and bits.storage_offset() % 4 == 0:
        bits = bits.view(torch.int32)
    place = torch.arange(min(_BLOCK, bits.numel()), device=bits.device) * 2 + 1
    total = torch.zeros((), dtype=torch.int64, device=bits.device)
    for block in bits.split(_BLOCK):
        total = total * 31 + (block * place[: block.numel()]).sum()
    return int(total)
