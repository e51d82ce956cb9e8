"""Row of the merge."""

from __future__ import annotations

from ..measurements import MergeResult
from ..page.rows import FAILS, HOLDS, Row
from ..results import Results

# Named before: rounding of float32 through the layers, and of float64.
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
            "not published (the published code multiplies factors element-wise, which does not)",
            f"logits differ by at most {worst['merged_own']:.1e} relative in the model's own "
            f"precision, {worst['merged_float64']:.1e} in float64; after unmerging "
            f"{worst['unmerged_own']:.1e}; safe_merge of a NaN "
            f"{'is refused and changes nothing' if safe else 'is not refused'} "
            f"({len(found)} seeds)",
            HOLDS if near and safe else FAILS,
            f"Limits named before: {OWN:.0e} and {FLOAT64:.0e}; {found[0].sentences} validation "
            "sentences, trained and pruned adapters. In half precision rounding is coarser: not "
            "measured here.",
            {**worst, "safe_merge": float(safe)},
        )
    ]
