"""What the seeds of a suite can show and what they cannot, stated before anything runs."""

from __future__ import annotations

from ...analysis import levels_at, seeds_for_sign_flip_at
from ...config.suite import Sequential
from ...stats import (
    LEVEL,
    paired_equivalence_power,
    paired_power,
    seeds_for_sign_flip,
)
from ..tables.text import listed

_EFFECTS = (0.5, 1.0, 1.5, 2.0)

_MARGINS = (1.0, 2.0)


def before_the_run(
    seeds: int, comparisons: int, claims: int = 0, plan: Sequential | None = None
) -> list[str]:
    """Return what seeds buy and what they cannot show, one sentence each; empty without a test.

    Args:
        seeds: Seeds of every arm; of a suite with looks, those of the last one.
        comparisons: Comparisons and contrasts of the family, on all tasks together.
        claims: Claims of equality, on all tasks together.
        plan: The looks of a suite that runs until it is decided. Its power is that of its last
            look alone, at the level that is left for it: with the looks before it is no less.
    """
    lines = []
    least = "" if plan is None else "at least "
    if comparisons:
        level = _level(plan, comparisons, sides=2)
        powers = listed([f"{paired_power(effect, seeds, level):.0%}" for effect in _EFFECTS])
        lines.append(
            f"with {seeds} seeds the paired t test finds a true difference of "
            f"{listed([f'{effect:g}' for effect in _EFFECTS])} sd of the paired difference in "
            f"{least}{powers} of suites ({_split(plan, comparisons, 'comparison')})"
        )
        lines += _sign_flip(seeds, comparisons, plan)
    if claims:
        level = _level(plan, claims, sides=1)
        shown = [f"{paired_equivalence_power(m, 1.0, seeds, level=level):.0%}" for m in _MARGINS]
        lines.append(
            f"with {seeds} seeds a true equality is shown in {least}{listed(shown)} of suites "
            f"where its margin is {listed([f'{margin:g}' for margin in _MARGINS])} sd of the "
            f"paired difference ({_split(plan, claims, 'claim')})"
        )
    return lines


def _sign_flip(seeds: int, comparisons: int, plan: Sequential | None) -> list[str]:
    never = f"the exact sign-flip test can never say that one of {comparisons} comparison(s)"
    if plan is None:
        needed = seeds_for_sign_flip(comparisons)
        if seeds >= needed:
            return []
        return [
            f"with {seeds} seeds {never} differs: it needs at least {needed} (the paired t test "
            "does not)"
        ]
    needed = seeds_for_sign_flip_at(plan, comparisons)
    if needed == plan.first:
        return []
    if needed > plan.most:
        return [f"at none of the looks, to {plan.most} seeds, {never} differs"]
    return [f"before the look at {needed} seeds {never} differs (the paired t test can)"]


def _level(plan: Sequential | None, tests: int, sides: int) -> float:
    return LEVEL / tests if plan is None else levels_at(plan, tests, sides)[-1]


def _split(plan: Sequential | None, tests: int, what: str) -> str:
    text = f"level {LEVEL:g}, " + (f"one {what}" if tests == 1 else f"split over {tests} {what}s")
    return text if plan is None else f"{text} and {len(plan.looks)} look(s)"
