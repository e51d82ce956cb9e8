"""Row of the pruned against the unpruned run."""

from __future__ import annotations

import numpy as np

from ...report import interval, level, p_value, signed
from ...stats import Equivalence, Paired, crossed, paired, rejects, tost
from ..measurements import ScoreResult
from ..page.rows import TOO_LITTLE, UNTRAINED, Row, defined, mean
from ..results import Results


def rows(results: Results) -> list[Row]:
    """Judge by an equivalence test; only where the unpruned runs beat the head alone by test."""
    scores = {arm: results.scores(arm) for arm in ("pruned", "unpruned", "head-only")}
    first = next(iter(results.of("unpruned", ScoreResult).values()), None)
    metric = first.metric if first else "accuracy"
    floor = paired(_differences(scores["unpruned"], scores["head-only"]))
    differences = _differences(scores["pruned"], scores["unpruned"])
    test, equal = paired(differences), tost(differences, results.plan.margin)
    levels = {arm: mean(list(found.values())) for arm, found in scores.items() if found}
    means = ", ".join(f"{arm} {level(value, metric)}" for arm, value in levels.items())
    return [
        Row(
            "pruning",
            "Pruning costs no performance",
            "“pruning doesn't degrade performance”",
            f"test {metric}: {means}; pruned − unpruned {signed(test.estimate, metric)} "
            f"(90 % interval {interval(equal.low, equal.high, metric)}; TOST p {p_value(equal.p)}, "
            f"margin ±{signed(equal.margin, metric)[1:]}; paired t p {p_value(test.p)}; "
            f"n = {test.n} seeds)",
            verdict(floor, test, equal, results.plan.quick),
            f"{_floor(floor, metric)} {_sentences(results, metric)} The margin was fixed "
            "before the run. The result covers new seeds on this test set; other tasks and "
            "budgets were not measured."
            f"{_diverged(results)}",
            defined(
                {
                    **{f"score_{arm}": value for arm, value in levels.items()},
                    "difference": test.estimate,
                    "difference_p": test.p,
                    "tost_p": equal.p,
                    "margin": equal.margin,
                    "floor_difference": floor.estimate,
                    "floor_p": floor.p,
                }
            ),
        )
    ]


def verdict(floor: Paired, test: Paired, equal: Equivalence, quick: bool) -> str:
    """Return the words that the tests allow.

    Args:
        floor: Unpruned against head-only.
        test: Pruned against unpruned: is there a difference?
        equal: The same: is it within the margin?
        quick: Too few seeds and steps for any answer.
    """
    if quick:
        return TOO_LITTLE
    if not rejects(floor.p) or (floor.estimate or 0.0) <= 0:
        return UNTRAINED
    if equal.p is None:
        return f"undecided: {equal.note}"
    differs = rejects(test.p)
    direction = "lower" if (test.estimate or 0.0) < 0 else "higher"
    if rejects(equal.p) and differs:
        return f"scores {direction}, by less than the margin"
    if rejects(equal.p):
        return "holds: no difference beyond the margin (TOST)"
    if differs:
        holds = "does not hold" if direction == "lower" else "more than holds"
        return f"{holds} here: the pruned runs score {direction} (paired t)"
    return "undecided: neither a difference nor equivalence is shown"


def _differences(one: dict[int, float], other: dict[int, float]) -> list[float]:
    return [one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())]


def _floor(floor: Paired, metric: str) -> str:
    if floor.p is None:
        return f"Whether the adapter learnt anything is unknown: {floor.note or 'no test'}."
    beats = rejects(floor.p) and (floor.estimate or 0.0) > 0
    return (
        f"The unpruned adapter {'beats' if beats else 'does not significantly beat'} head-only "
        f"({signed(floor.estimate, metric)}, paired t p {p_value(floor.p)})."
    )


def _sentences(results: Results, metric: str) -> str:
    pruned, whole = (
        {
            seed: found.right
            for seed, found in results.of(arm, ScoreResult).items()
            if found.right is not None
        }
        for arm in ("pruned", "unpruned")
    )
    common = sorted(pruned.keys() & whole.keys())
    if len(common) < 2:
        return ""
    d = np.array([np.subtract(pruned[seed], whole[seed]) for seed in common], dtype=float)
    both = crossed(d)
    if both.low is None:
        return f"Over new seeds and sentences: {both.note}."
    return (
        "Over new seeds and sentences, the 95 % interval is "
        f"{interval(both.low, both.high, metric)} ({both.examples:,} sentences)."
    )


def _diverged(results: Results) -> str:
    found = results.diverged("pruned", "unpruned", "head-only")
    if not found:
        return ""
    return f" Diverged, scored as the commonest answer: {'; '.join(found)}."
