"""A suite's verdict in plain words, made from its numbers.

Rules: no word of difference without test, n and correction; a test that does not reject proves no
equality; the two questions (new seeds, new sentences) are answered apart.
"""

from __future__ import annotations

from typing import Any

from .comparison import BASE, Analysis, Comparison
from .statistics import LEVEL, seeds_for_sign_flip
from .tables import changes, in_points, interval, p_value, signed

ON_THIS_SET = "On this test set, over new seeds"
ON_NEW_SENTENCES = "On new sentences too"


def before_the_run(seeds: int, comparisons: int) -> list[str]:
    """Return what a suite of this size cannot show, one sentence each; empty when all is well."""
    needed = seeds_for_sign_flip(comparisons)
    if comparisons == 0 or seeds >= needed:
        return []
    return [
        f"with {seeds} seeds the exact sign-flip test can never say that one of {comparisons} "
        f"comparison(s) differs: it needs at least {needed} (the paired t test does not)"
    ]


def headline(analysis: Analysis) -> str:
    """Return the verdict in one or two sentences; that it is an interim one comes first."""
    return f"{_interim(analysis)}{_verdict(analysis)}"


def _interim(analysis: Analysis) -> str:
    if not any(arm.unfinished for arm in analysis.arms):
        return ""
    complete = sum(len(arm.scores) for arm in analysis.arms)
    planned = len(analysis.arms) * len(analysis.suite.seeds)
    return f"Interim: {complete} of {planned} runs are complete. "


def _verdict(analysis: Analysis) -> str:
    if not any(arm.scores for arm in analysis.arms if arm.name == BASE):
        return "Nothing can be said: no run of the base has finished."
    if analysis.trained is False:
        return f"Not trained enough to tell: {_floor(analysis)} So there is no verdict on any part."
    if not analysis.family:
        return f"{_floor(analysis)} The suite names no comparison, so nothing else was tested."
    found = [item for item in analysis.family if _rejects(item.paired_holm)]
    total = len(analysis.family)
    test = f"Holm-corrected paired t at {LEVEL}, {_seeds_compared(analysis)}"
    untested = [item.paired.note for item in analysis.family if item.paired.p is None]
    if len(untested) == total:
        parts = f"No comparison can be tested: {'; '.join(dict.fromkeys(untested))}."
    elif not found:
        parts = (
            f"None of {total} comparison(s) shows a difference ({test}). "
            "That is no proof that the parts do nothing: read the intervals."
        )
    else:
        parts = " ".join(_short(item, analysis) for item in found)
        parts += f" ({len(found)} of {total} comparisons, {test}.)"
    return f"{_floor(analysis)} {parts}"


def details(analysis: Analysis) -> list[str]:
    """Return one paragraph a comparison; none when the suite was not trained enough."""
    if analysis.trained is False:
        return []
    return [" ".join(_comparison(item, analysis)) for item in analysis.family]


def not_tested(analysis: Analysis) -> list[str]:
    """Return what a reader must not conclude from the suite."""
    suite = analysis.suite
    model, data = suite.plan.get("model", {}), suite.plan.get("data", {})
    size = data.get("train_size")
    lines = [
        f"Anything but this set-up: task {suite.plan.get('task')}, model "
        f"{model.get('name_or_path')}"
        + (f" cut to {model['layers']} layers" if model.get("layers") else "")
        + (f", at most {size:,} training sentences" if size else "")
        + f", protocol {suite.plan.get('protocol')}.",
        "Equality: no margin was named before the run, so no test of equality was made. A "
        "difference that was not shown may still be there, as far as its interval reaches.",
        "Arms tuned for themselves: every arm uses the base's settings (its learning rate too) "
        "but for what it changes.",
        "Combinations: each arm is compared with its reference alone, so how parts work together "
        "is not known.",
    ]
    compared = {name for pair in suite.comparisons for name in pair} | {BASE, suite.floor}
    left = [name for name in suite.arms if name not in compared]
    if left:
        lines.append(f"Arms in no comparison: {', '.join(left)}.")
    if suite.floor is None:
        lines.append("Whether the base was trained enough: the suite has no head-only arm.")
    return lines


def notes(analysis: Analysis) -> list[str]:
    """Return what went wrong or is missing, one sentence each."""
    lines = []
    for arm in analysis.arms:
        if arm.diverged:
            lines.append(
                f"{arm.name}: {len(arm.diverged)} of {len(analysis.suite.seeds)} runs diverged "
                f"(seed {_listed(arm.diverged)}); each counts as a run that always answers the "
                "commonest class."
            )
        lines += [f"{arm.name}, seed {seed}: failed: {why}" for seed, why in arm.failed.items()]
        if arm.unfinished:
            lines.append(
                f"{arm.name}: no finished run of seed {_listed(arm.unfinished)}; "
                "only seeds that both arms have are compared."
            )
    lines += [f"{name}: its record cannot be read" for name in analysis.suite.unreadable]
    if _interim(analysis):
        lines.append(
            "The suite is not finished: whoever looks again and again and stops when something "
            "differs finds differences too often. The verdict is the one of all runs."
        )
    return lines


def _seeds_compared(analysis: Analysis) -> str:
    """Return how many seeds the comparisons rest on: not all that were planned need be there."""
    counts = [item.paired.n for item in analysis.family]
    low, high = min(counts), max(counts)
    return f"n = {low} seeds" if low == high else f"n = {low} to {high} seeds"


def _floor(analysis: Analysis) -> str:
    floor, metric = analysis.floor, analysis.suite.metric
    if floor is None:
        return "Whether the base was trained enough is not known: the suite has no head-only arm."
    test = floor.paired
    if test.p is None:
        return f"the base could not be tested against {floor.reference}: {test.note}."
    numbers = (
        f"{signed(test.mean, metric)}, 95 % interval {interval(test.low, test.high, metric)}, "
        f"paired t, {_p(test.p)}, n = {test.n} seeds"
    )
    if analysis.trained:
        return f"Trained enough to tell: the base beats {floor.reference} ({numbers})."
    return f"the base does not beat {floor.reference} by test ({numbers})."


def _short(item: Comparison, analysis: Analysis) -> str:
    mean = item.paired.mean or 0.0
    both = "on new sentences too" if _rejects(item.crossed_holm) else "not shown for new sentences"
    return (
        f"{item.arm} ({_changed(item, analysis)}) scores "
        f"{_amount(mean, analysis)} {'lower' if mean < 0 else 'higher'} than {item.reference} "
        f"({both})."
    )


def _comparison(item: Comparison, analysis: Analysis) -> list[str]:
    metric, family = analysis.suite.metric, len(analysis.family)
    test, both = item.paired, item.crossed
    lines = [f"*{item.arm} against {item.reference}* ({_changed(item, analysis)})."]
    if test.p is None:
        lines.append(f"{ON_THIS_SET}: cannot be tested: {test.note}.")
    else:
        lines.append(
            f"{ON_THIS_SET}: {_answer(item.paired_holm, test.mean, analysis)} "
            f"(95 % t interval {interval(test.low, test.high, metric)}; paired t, "
            f"{_p(test.p)}, Holm over {family}: {p_value(item.paired_holm)}, "
            f"n = {test.n} seeds)."
        )
        lines += _sign_flip_words(item, family)
    if both.p is None:
        lines.append(f"{ON_NEW_SENTENCES}: cannot be tested: {both.note}.")
    else:
        lines.append(
            f"{ON_NEW_SENTENCES}: {_answer(item.crossed_holm, both.mean, analysis)} "
            f"(95 % interval {interval(both.low, both.high, metric)}; "
            f"{'crossed test' if in_points(metric) else 'two-way bootstrap'}, "
            f"{_p(both.p)}, Holm over {family}: {p_value(item.crossed_holm)}, "
            f"{both.seeds} seeds × {both.examples:,} sentences)."
        )
        lines += _chance_words(both.shares) or [f"({both.note}.)"]
    if test.ties:
        lines.append(f"{test.ties} of {test.n} seeds tie.")
    return lines


def _answer(p: float | None, mean: float | None, analysis: Analysis) -> str:
    change = mean or 0.0
    if _rejects(p):
        return f"it scores {_amount(change, analysis)} {'lower' if change < 0 else 'higher'}"
    return f"not shown to differ ({signed(change, analysis.suite.metric)})"


def _sign_flip_words(item: Comparison, family: int) -> list[str]:
    if item.sign_flip is None or item.paired.p is None:
        return []
    numbers = f"{_p(item.sign_flip)}, Holm over {family}: {p_value(item.sign_flip_holm)}"
    if _rejects(item.sign_flip_holm) != _rejects(item.paired_holm):
        return [
            f"The exact sign-flip test disagrees ({numbers}): "
            "do not lean on this comparison without more seeds."
        ]
    return [f"The exact sign-flip test agrees ({numbers})."]


def _chance_words(shares: tuple[float, float, float]) -> list[str]:
    if not any(shares):
        return []
    seeds, sentences, both = shares
    told = f"Chance: {seeds:.0%} from seeds, {sentences:.0%} from sentences, {both:.0%} from both;"
    if sentences == max(shares):
        return [f"{told} sentences dominate, so more test sentences would help and seeds hardly."]
    if seeds == max(shares):
        return [f"{told} seeds dominate, so more seeds would help."]
    return [f"{told} their interplay dominates, so more seeds or more sentences would help."]


def _changed(item: Comparison, analysis: Analysis) -> str:
    """Return what the arm changes; against another arm than the base, what both change."""
    if item.reference == BASE:
        return _against_base(item.arm, analysis)
    sides = (item.arm, item.reference)
    return "; ".join(f"{name}: {_against_base(name, analysis)}" for name in sides)


def _against_base(arm: str, analysis: Analysis) -> str:
    settings = analysis.suite.arms[arm]
    if not settings:
        return "the suite's own settings"
    parts = []
    for key, value in settings.items():
        before: Any = analysis.suite.plan
        for part in key.split("."):
            before = before.get(part) if isinstance(before, dict) else None
        parts.append(f"{changes({key: value})} instead of {before}")
    return ", ".join(parts)


def _amount(value: float, analysis: Analysis) -> str:
    return signed(abs(value), analysis.suite.metric).removeprefix("+")


def _p(p: float | None) -> str:
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _rejects(p: float | None) -> bool:
    return p is not None and p <= LEVEL


def _listed(seeds: tuple[int, ...]) -> str:
    return ", ".join(str(seed) for seed in seeds)
