"""Row of the published against the recommended initialisation."""

from __future__ import annotations

from collections.abc import Sequence

from ...report import interval, level, p_value, signed
from ...stats import Paired, paired, rejects
from ..measurements import GrowthResult, ScoreResult
from ..page.rows import MEASURED, TOO_LITTLE, Row, defined, mean
from ..results import Results

_ARMS = {"pruned": "published", "recommended": "recommended"}


def rows(results: Results) -> list[Row]:
    """Judge by a paired test of the test scores; gradients and increments say where it comes from.

    Each arm has its own learning rate and scale, those that were tuned for it.
    """
    found = {arm: list(results.of(arm, GrowthResult).values()) for arm in _ARMS}
    if not all(found.values()):
        return []
    scores = {arm: results.scores(arm) for arm in _ARMS}
    common = sorted(scores["recommended"].keys() & scores["pruned"].keys())
    test = paired([scores["recommended"][seed] - scores["pruned"][seed] for seed in common])
    first = next(iter(results.of("recommended", ScoreResult).values()), None)
    metric = first.metric if first else "accuracy"
    levels = {_ARMS[arm]: mean(list(found.values())) for arm, found in scores.items() if found}
    means = ", ".join(f"{words} {level(value, metric)}" for words, value in levels.items())
    grown = "; ".join(f"{words}: {_growth(found[arm])}" for arm, words in _ARMS.items())
    return [
        Row(
            "learning",
            "The recommended initialisation learns more in the same steps",
            "not published",
            f"test {metric}: {means}; recommended − published {signed(test.estimate, metric)} "
            f"(95 % t interval {interval(test.low, test.high, metric)}; paired t p "
            f"{p_value(test.p)}; n = {test.n} seeds). {grown}",
            _verdict(test, results.plan.quick),
            "Gradient norms are over all matrices, at steps 1, 5 and 20, after clipping. With "
            "λ = 0 only λ has a task gradient at the first step; with u = 0 and λ = 1 only u has "
            "one; the rest there comes from the regularisers. Each arm has the rate and scale that "
            "were tuned for it on other seeds.",
            defined(
                {
                    "difference": test.estimate,
                    "difference_p": test.p,
                    **{f"score_{words}": value for words, value in levels.items()},
                    **{f"returned_{_ARMS[a]}": _total(f, "returned") for a, f in found.items()},
                    **{f"masked_{_ARMS[a]}": _total(f, "masked") for a, f in found.items()},
                    **{f"increment_{_ARMS[a]}": _ends(f) for a, f in found.items()},
                }
            ),
        )
    ]


def _verdict(test: Paired, quick: bool) -> str:
    if quick:
        return TOO_LITTLE
    if test.p is None:
        return f"undecided: {test.note}" if test.note else MEASURED
    if not rejects(test.p):
        return "not shown to differ"
    higher = (test.estimate or 0.0) > 0
    return f"the recommended one scores {'higher' if higher else 'lower'} (paired t)"


def _growth(found: Sequence[GrowthResult]) -> str:
    names = next(iter(found[0].gradients.values()))
    norms = ", ".join(f"{name} {_through(found, name)}" for name in names)
    back, masked = (int(_total(found, name)) for name in ("returned", "masked"))
    return (
        f"gradients {norms}; ‖ΔW‖ at the end {_ends(found):.3g}; {back} of {masked} masked values "
        "came back"
    )


def _through(found: Sequence[GrowthResult], name: str) -> str:
    """Return the mean norm of a factor's gradient at each step looked at."""
    steps = sorted(found[0].gradients)
    return " / ".join(f"{mean([f.gradients[step][name] for f in found]):.2g}" for step in steps)


def _total(found: Sequence[GrowthResult], name: str) -> float:
    return float(sum(getattr(result, name) for result in found))


def _ends(found: Sequence[GrowthResult]) -> float:
    return mean([result.points[-1].increment for result in found])
