"""An adapter cut to a rank budget after training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ...adapter import compress_model, count_parameters
from ...config import AfterConfig
from ...errors import UserError
from ...store import RunRecord
from .adapter import (
    ADAPTER_WEIGHTS_FILE,
    PLAIN_CARD,
    check_new,
    copy_chat_template,
    kind_of_adapter,
    read_adapter,
    write_adapter,
)


def truncate_model(
    model: nn.Module, after: AfterConfig, record: RunRecord, accelerator: Any
) -> Any:
    """Return the trained model with its adapter cut, ready to predict, and update the record.

    The record gets the kept ranks, the share of the norm that is left, and the sizes of what is
    served; what was trained and scored stays as it was counted.
    """
    assert after.svd_rank is not None
    cut, told = compress_model(model, after.svd_rank, after.svd_allocation)
    size = count_parameters(cut)["trained_adapter"]
    record.rank_pattern, record.kept_norm = told.ranks, told.kept_norm
    record.counts |= {"kept_adapter": size, "compressed_adapter": size}
    return accelerator.prepare_model(cut, evaluation_mode=True)


@dataclass(frozen=True)
class CutAdapter:
    """The result of cutting a saved adapter.

    Attributes:
        folder: Where the plain LoRA lies.
        ranks: Kept rank by module name.
        kept_norm: Share of the squared Frobenius norm of all increments that is left.
        parameters_before: Of the adapter, without what is trained beside it.
        parameters_after: The same of the plain LoRA.
        head: Parameters of what is trained beside it and copied along.
        bytes_before: Size of the adapter's weights file.
        bytes_after: The same of the plain LoRA.
    """

    folder: Path
    ranks: dict[str, int]
    kept_norm: float
    parameters_before: int
    parameters_after: int
    head: int
    bytes_before: int
    bytes_after: int


def compress_adapter(
    source: Path, out: Path, rank: float | None, allocation: str = "global"
) -> CutAdapter:
    """Write a saved LoRA², LoRA or AdaLoRA adapter as a plain LoRA of a given mean rank.

    Args:
        source: The adapter's folder, as PEFT saved it.
        out: The new folder; must not exist or be empty.
        rank: Mean rank to keep per matrix, a fraction too; ``None`` cuts nothing and is for LoRA²
            alone.
        allocation: ``global`` or ``per-matrix``.

    Raises:
        UserError: The source holds no such adapter, no rank would be left, or ``out`` is in use.
    """
    from ...adapter import beside, compress_saved

    kind = kind_of_adapter(source)
    if rank is None and kind != "LORA2":
        raise UserError(
            f"{source} holds a {kind} adapter, not LoRA²: without a rank there is nothing to "
            "compress; give one with --rank"
        )
    check_new(out)
    state, config = read_adapter(source)
    try:
        told = compress_saved(state, config, rank, allocation)
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
    write_adapter(out, told.state, told.config, _card(source, rank, allocation, told.kept_norm))
    copy_chat_template(source, out)
    head = sum(tensor.numel() for tensor in beside(state).values())
    return CutAdapter(
        folder=out,
        ranks=told.ranks,
        kept_norm=told.kept_norm,
        parameters_before=sum(tensor.numel() for tensor in state.values()) - head,
        parameters_after=sum(tensor.numel() for tensor in told.state.values()) - head,
        head=head,
        bytes_before=(source / ADAPTER_WEIGHTS_FILE).stat().st_size,
        bytes_after=(out / ADAPTER_WEIGHTS_FILE).stat().st_size,
    )


def _card(source: Path, rank: float | None, allocation: str, kept_norm: float) -> str:
    what = "An adapter as a plain LoRA"
    if rank is not None:
        what += f", cut to mean rank {rank} ({allocation}): {kept_norm:.2%} of its squared norm"
    return PLAIN_CARD.format(what=what, source=source.name, register="")
