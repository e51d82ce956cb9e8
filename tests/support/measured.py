"""What a probe of `verify` might have measured."""

from __future__ import annotations

from lora2_search.verification.measurements import Measurements, MergeResult

MERGED = Measurements(
    merge=MergeResult(
        sentences=32,
        merged_own=1e-7,
        merged_float64=1e-15,
        unmerged_own=1e-7,
        unmerged_float64=1e-15,
        refused=True,
        untouched=True,
    )
)
