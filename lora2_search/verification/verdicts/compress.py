"""Row of the compression."""

from __future__ import annotations

from ...report import count
from ..measurements import CompressResult
from ..page.rows import FAILS, HOLDS, Row, mean
from ..results import Results
from .merge import FLOAT64, OWN


def rows(results: Results) -> list[Row]:
    """Judge by rounding alone: the refactored adapter is the same product."""
    found = list(results.of("pruned", CompressResult).values())
    if not found:
        return []
    worst = {
        "compressed_own": max(f.compressed_own for f in found),
        "compressed_float64": max(f.compressed_float64 for f in found),
        "pruned_own": max(f.pruned_own for f in found),
    }
    counts = {
        "trained": mean([f.trained for f in found]),
        "kept": mean([f.kept for f in found]),
        "compressed": mean([f.compressed for f in found]),
        "plain_lora": mean([f.plain_lora for f in found]),
    }
    counted = all(f.compressed == f.plain_lora for f in found)
    near = worst["compressed_own"] <= OWN and worst["compressed_float64"] <= FLOAT64
    near = near and worst["pruned_own"] <= OWN
    share = counts["compressed"] / counts["trained"]
    return [
        Row(
            "compress",
            "A pruned adapter is exactly a plain LoRA of width min(k, kept rank) per matrix",
            "not published",
            f"relative difference of the logits: at most {worst['compressed_own']:.1e}, "
            f"{worst['compressed_float64']:.1e} in float64, {worst['pruned_own']:.1e} after "
            f"cutting alone; parameters: {count(counts['trained'])} trained, "
            f"{count(counts['kept'])} kept, {count(counts['compressed'])} compressed "
            f"({share:.0%} of those trained; {len(found)} seeds)",
            HOLDS if near and counted else FAILS,
            "The counts cover the adapter without the head. Cutting zeroed ranks frees little, "
            f"because u and v stay. The plain LoRA {'holds' if counted else 'does not hold'} as "
            "many weights as were counted.",
            {**worst, **counts},
        )
    ]
