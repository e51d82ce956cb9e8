"""Cut the adapter of a run to a mean rank once it is trained."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..adapter import count_parameters
from ..adapter.compression import compress_model
from ..adapter.truncation import ranks_in_all
from ..config import AfterConfig
from ..errors import ConfigError, Problem
from .methods import adapted_matrices
from .record import RunRecord


def check_cut(after: AfterConfig, model: nn.Module) -> None:
    """Make sure, before anything is trained, that the cut will leave a rank somewhere.

    Raises:
        ConfigError: It would not.
    """
    if after.svd_rank is None:
        return
    matrices = adapted_matrices(model)
    if not ranks_in_all(after.svd_rank, matrices):
        message = f"{after.svd_rank} of {matrices} adapted matrices is not a single rank; raise it"
        raise ConfigError([Problem("after.svd_rank", message)])


def cut_model(model: nn.Module, after: AfterConfig, record: RunRecord, accelerator: Any) -> Any:
    """Return the trained model with its adapter cut, ready to predict, and tell the record.

    The record gets the kept ranks, the share of the norm that is left, and the sizes of what is
    served; what was trained and scored stays as it was counted.
    """
    assert after.svd_rank is not None
    cut, told = compress_model(model, after.svd_rank, after.svd_allocation)
    size = count_parameters(cut)["trained_adapter"]
    record.rank_pattern, record.kept_norm = told.ranks, told.kept_norm
    record.counts |= {"kept_adapter": size, "compressed_adapter": size}
    return accelerator.prepare_model(cut, evaluation_mode=True)
