"""Whether a fresh adapter leaves the pretrained model's outputs exactly as they were."""

from __future__ import annotations

from torch import Tensor, nn

from ...config import INITS, RunConfig, with_settings
from ...training import Prepared, prepare
from ..measurements import Measurements, StartResult
from .merging import logits


def measure_start(config: RunConfig) -> Measurements:
    """Compare the logits of fresh adapters with those of the pretrained model under the same head.

    Args:
        config: The run; k = r = 1 and its own k and r are both tried, with every start.
    """
    bare = prepare(with_settings(config, {"method": "head-only"}))
    expected = logits(bare.trainer.progress.model, bare)
    differences: dict[str, float] = {}
    differs: float | None = None
    own = (config.adapter.k, config.adapter.r)
    for k, r in dict.fromkeys([(1, 1), (_hashable(own[0]), own[1])]):
        for start in INITS:
            settings = {
                "adapter.k": list(k) if isinstance(k, tuple) else k,
                "adapter.r": r,
                "adapter.init": start,
                "adapter.scoring": "none",
                "adapter.target_rank": None,
            }
            prepared = prepare(with_settings(config, settings))
            model = prepared.trainer.progress.model
            name = f"{start}, k={k}, r={r}"
            differences[name] = float((logits(model, prepared) - expected).abs().max())
            if differs is None:
                differs = _moved(model, prepared, expected)
    assert differs is not None
    return Measurements(start=StartResult(differences, differs, len(expected)))


def _moved(model: nn.Module, prepared: Prepared, expected: Tensor) -> float:
    for name, parameter in model.named_parameters():
        if "lora2_lambda" in name:
            parameter.data.fill_(1.0)
    return float((logits(model, prepared) - expected).abs().max())


def _hashable(k: int | list[int]) -> int | tuple[int, ...]:
    return tuple(k) if isinstance(k, list) else k
