"""Rows of "the ranking is unaffected": within a matrix, and across those that share a budget."""

from __future__ import annotations

from ..measurements import AgreementPoint, AgreementResult
from ..page.rows import FAILS, HOLDS, Row, mean
from ..results import Results

_QUOTE = (
    "“the ranking is unaffected. Thus, in practical terms, we can disregard the sensitivities of "
    "matrices u and U”"
)

# Offsets that are equal differ by float32's rounding of the scores they are added to.
_ROUNDING = 1e-5


def rows(results: Results) -> list[Row]:
    """Judge by equality: one pair in another order is an effect."""
    by_arm = {arm: results.of(arm, AgreementResult) for arm in ("pruned", "unpruned")}
    points = [
        point for seeds in by_arm.values() for found in seeds.values() for point in found.points
    ]
    if not points:
        return []
    return [_within(points), _across(by_arm)]


def _within(points: list[AgreementPoint]) -> Row:
    within = [point.within for point in points]
    pairs, swapped = sum(w.pairs for w in within), sum(w.swapped for w in within)
    kept = min(w.kept for w in within)
    offset = max(
        w.offset_spread_within / (abs(w.offset_median) + w.reduced_sd or 1.0) for w in within
    )
    if swapped == 0 and kept == 1:
        verdict = HOLDS
    else:
        verdict = "holds up to rounding" if offset <= _ROUNDING else FAILS
    return Row(
        "ranking",
        "Leaving u and v out of the score changes no ranking within a matrix",
        _QUOTE,
        f"{swapped} of {pairs:,} pairs change order; masks with a budget per matrix keep "
        f"{kept:.0%} of the same values; the part left out is the same for all i, "
        f"to {offset:.0e} relative",
        verdict,
        "This must hold: mean s(u) + mean s(v) is the same number for every i of a matrix. It "
        "settles the choice only where each matrix has its own budget, which is not the published "
        "rule.",
        {"swapped": swapped, "pairs": pairs, "kept_per_matrix": kept, "offset_spread": offset},
    )


def _across(by_arm: dict[str, dict[int, AgreementResult]]) -> Row:
    numbers: dict[str, float] = {}
    texts = []
    for arm, seeds in by_arm.items():
        pairs = [point.full["reduced"] for found in seeds.values() for point in found.points]
        taus = [pair.tau for pair in pairs if pair.tau is not None]
        if not taus:
            continue
        kept = [pair.kept for pair in pairs]
        numbers |= {
            f"tau_{arm}": mean(taus),
            f"tau_least_{arm}": min(taus),
            f"kept_{arm}": mean(kept),
            f"kept_least_{arm}": min(kept),
        }
        texts.append(
            f"{arm} runs: τ {mean(taus):.2f} (lowest {min(taus):.2f}), masks share "
            f"{mean(kept):.0%} (lowest {min(kept):.0%})"
        )
    same = all(v == 1 for name, v in numbers.items() if "least" in name)
    ratios = [
        point.within.offset_sd_across / point.within.reduced_sd
        for seeds in by_arm.values()
        for found in seeds.values()
        for point in found.points
        if point.within.reduced_sd > 0
    ]
    numbers["offset_to_score"] = mean(ratios) if ratios else 0.0
    return Row(
        "ranking",
        "… and none across matrices that share one budget",
        _QUOTE,
        f"{'; '.join(texts)}; the parts left out differ between matrices by "
        f"{numbers['offset_to_score']:.2f} of the reduced score's own spread",
        HOLDS if same else FAILS,
        "The budget is shared, so the parts left out, which differ between matrices, affect the "
        "choice. That the masks differ does not say which is better: see the rows of the check "
        "truth.",
        numbers,
    )
