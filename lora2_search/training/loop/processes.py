"""Several processes that train one run: each one's part of a batch, and what they must share.

The gradient of a step is the mean over the processes, taken once, after the last of the batches
that it accumulates. From there on all of them hold the same gradients, and so the same weights,
importance scores and masks. (Torch's DistributedDataParallel takes the same mean within backward,
but gives every process the same weight, and wraps the model that methods and kinds of task look
into.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..data.tokens import Encoded
from ..kinds.kind import TaskKind
from ..models.load import checksum

# Numbers that are averaged at a time: copies of so many are in memory.
_BUCKET = 2**24


def part_of(
    kind: TaskKind, split: Encoded, rows: list[int], rank: int, count: int
) -> tuple[list[int], float]:
    """Return one process's examples of a batch, and what their loss counts for.

    The mean over the processes of weight times loss is the mean loss of the batch: also where they
    have different numbers of examples, or of tokens to learn. A process for which none is left
    takes the first example, with weight 0, so that its gradients have the shapes of the others'.

    Args:
        kind: Gives the mean loss of a batch.
        split: The training split.
        rows: The batch, at least one example; like lengths are beside each other.
        rank: The number of the process.
        count: How many there are.
    """
    own = rows[rank::count]
    whole = kind.weight(split, rows)
    # Where nothing is learnt the loss is 0 in every process.
    weight = count * kind.weight(split, own) / whole if whole else 1.0
    return own or rows[:1], weight


def average(accelerator: Any, tensors: Iterable[Tensor]) -> None:
    """Put the mean over all processes in the place of each tensor; alone, do nothing."""
    if accelerator.num_processes == 1:
        return
    for bucket in _buckets(tensors):
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in bucket])
        means = accelerator.reduce(flat, "mean").split([tensor.numel() for tensor in bucket])
        for tensor, mean in zip(bucket, means, strict=True):
            tensor.detach().copy_(mean.view_as(tensor))


def check_same(accelerator: Any, what: str, tensors: Iterable[Tensor]) -> None:
    """Make sure that all processes hold the same tensors, bit for bit.

    Raises:
        RuntimeError: They do not; their result would be nobody's.
    """
    if accelerator.num_processes == 1:
        return
    total = 0
    for tensor in tensors:
        total = (total * 31 + checksum(tensor.cpu())) % 2**63
    own = torch.tensor([total], device=accelerator.device)
    held: list[int] = accelerator.gather(own).tolist()
    if len(set(held)) > 1:
        odd = next(rank for rank, other in enumerate(held) if other != held[0])
        raise RuntimeError(
            f"the processes of this run went apart: process {odd + 1} of {len(held)} has other "
            f"{what} than the first one"
        )


def _buckets(tensors: Iterable[Tensor]) -> Iterator[Sequence[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        size = sum(item.numel() for item in bucket)
        if bucket and (size + tensor.numel() > _BUCKET or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
