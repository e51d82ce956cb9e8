"""Row of the merge."""

from __future__ import annotations

from ..measurements import MergeResult
from ..page.rows import FAILS, HOLDS, Row
from ..results import Results

# Fixed beforehand: rounding of float32 through the layers, and of float64.
OWN, FLOAT64 = 1e-5, 1e-12


def rows(results: Results) -> list[Row]:
    """Judge by rounding alone: a merge adds what the forward adds."""
    found = list(results.of("pruned", MergeResult).values())
    if not found:
        return []
    worst = {
        "merged_own": max(f.merged_own for f in found),
        "merged_float64": max(f.merged_float64 for f in found),
        "unmerged_own": max(f.unmerged_own for f in found),
    }
    safe = all(f.refused and f.untouched for f in found)
    near = worst["merged_own"] <= OWN and worst["merged_float64"] <= FLOAT64
    return [
        Row(
            "merge",
            "The merged weight W0 + ΔW computes what the adapter computes",
            "not published (the published code multiplies the factors element-wise, which differs)",
            f"relative difference of the logits: at most {worst['merged_own']:.1e} in the model's "
            f"own precision, {worst['merged_float64']:.1e} in float64, "
            f"{worst['unmerged_own']:.1e} after unmerging; safe_merge "
            f"{'refuses a NaN and changes nothing' if safe else 'does not keep a NaN out'} "
            f"({len(found)} seeds)",
            HOLDS if near and safe else FAILS,
            f"Limits fixed beforehand: {OWN:.0e} and {FLOAT64:.0e}. Measured on "
            f"{found[0].sentences} validation sentences with trained and pruned adapters. Half "
            "precision rounds more coarsely and is not measured here.",
            {**worst, "safe_merge": float(safe)},
        )
    ]
