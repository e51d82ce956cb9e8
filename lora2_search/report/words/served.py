"""What is served of a trained adapter: a plain LoRA, or what was trained as it is."""

from __future__ import annotations

from collections.abc import Mapping

from ...analysis import Run, serves_plain_lora


def no_loras(runs: Mapping[tuple[str, int], Run]) -> str:
    """Name, as a sentence, the arms whose adapter becomes no plain LoRA; empty where all do.

    Arms without an adapter are left out: there is nothing to compress.

    Args:
        runs: By (arm, seed).
    """
    arms = {
        arm: None
        for (arm, _), run in runs.items()
        if run.record.counts.get("trained_adapter") and not serves_plain_lora(run.record)
    }
    if not arms:
        return ""
    return f"Served as trained, because no plain LoRA computes the same: {', '.join(arms)}."
