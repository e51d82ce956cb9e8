"""A comparison in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...analysis import Analysis, Comparison, Equality, FactorEffect, effect_of, setting
from ...config import is_mean_over_examples, value_of
from ...config.suite import BASE
from ...stats import BOOTSTRAPS, LEVEL, Paired, reach, rejects, seeds_for_margin
from ..tables.markdown import escaped
from ..tables.text import changes, interval, level, p_value, p_words, signed


def no_verdict(item: Comparison, analysis: Analysis) -> str:
    """Return that a comparison carries no verdict, because an arm of it has learnt nothing."""
    metric, arms = analysis.suite.metric, {arm.name: arm for arm in analysis.arms}
    unlearnt = " and ".join(
        f"{name} ({level(arms[name].mean, metric)}) does no better than the constant answer "
        f"({level(arms[name].constant, metric)})"
        for name in item.unlearnt
    )
    return (
        f"No verdict on {escaped(item.name)}: {unlearnt}, so its difference of "
        f"{signed(item.paired.estimate, metric)} tells of its settings, not of what it changes."
    )


ON_THIS_SET = "On this test set, over new seeds"

ON_NEW_SENTENCES = "On new sentences too"


def short(item: Comparison, analysis: Analysis) -> str:
    """Return a difference that was found, in one sentence."""
    words = _words(item, analysis)
    sentence = words.sentence(_lower(item.paired.estimate, analysis))
    if sentence.startswith("the effect "):
        sentence = f"T{sentence[1:]}"
    return f"{sentence} ({_on_new(item)})."


def _on_new(item: Comparison) -> str:
    told = "on new sentences too" if rejects(item.crossed_holm) else "not shown for new sentences"
    return f"{told}; the exact sign-flip test disagrees" if item.sign_flip_disagrees else told


def line(item: Comparison, analysis: Analysis) -> str:
    """Return what the tests say of a named comparison or contrast, on one line.

    What an arm changes is left to the paragraph behind it.
    """
    words = _words(item, analysis)
    about = "" if item.arm else words.about
    asked = f"{words.question}{about}{'' if words.question.endswith('?') else ':'}"
    if item.paired.p is None:
        return f"{asked} cannot be tested: {item.paired.note}."
    if item.unlearnt:
        return f"{asked} no verdict: {' and '.join(item.unlearnt)} learnt nothing."
    if item.differs and item.arm:
        return f"{asked} {_lower(item.paired.estimate, analysis)} ({_on_new(item)})."
    if item.differs:
        return short(item, analysis)
    observed = signed(item.paired.estimate, analysis.suite.metric)
    claims = (claim for claim in analysis.equivalence if claim.name == item.name and claim.shown)
    if (claim := next(claims, None)) is not None:
        margin = signed(claim.claim.margin, analysis.suite.metric).removeprefix("+")
        return f"{asked} the same within ±{margin} ({observed})."
    corrected = " once corrected" if rejects(item.paired.p) else ""
    return f"{asked} not shown to differ{corrected} ({observed})."


def equality_line(item: Equality, analysis: Analysis) -> str:
    """Return what the tests say of a claim of equality, in one sentence."""
    margin = signed(item.claim.margin, analysis.suite.metric).removeprefix("+")
    asked = f"{item.claim.arm} the same as {item.claim.reference} within ±{margin}"
    if item.unlearnt:
        return f"{asked}: no verdict: {' and '.join(item.unlearnt)} learnt nothing."
    same_set, new = (
        "shown" if rejects(p) else "not shown"
        for p in (item.on_this_set_holm, item.on_new_sentences_holm)
    )
    return f"{asked}: {same_set} on this test set, {new} on new sentences."


def exploratory_line(item: Comparison, analysis: Analysis) -> str:
    """Return the difference of a comparison that nothing named, in one sentence."""
    observed = signed(item.paired.estimate, analysis.suite.metric)
    return f"Exploratory: {item.arm} against {item.reference}: {observed}, which proves nothing."


def paragraph(item: Comparison, analysis: Analysis) -> str:
    """Return what the tests say of a named comparison or contrast, both questions apart."""
    words = _words(item, analysis)
    lines = [f"*{words.question}*{words.about}."]
    if item.unlearnt:
        return f"{lines[0]} {no_verdict(item, analysis)}"
    lines += _over_seeds(item, analysis)
    lines += _over_sentences(item, analysis)
    if item.paired.ties:
        lines.append(f"{item.paired.ties} of {item.paired.n} seeds tie.")
    return " ".join(lines + _power(item, analysis))


def exploratory_paragraph(item: Comparison, analysis: Analysis) -> str:
    """Return the numbers of a comparison that nothing named: no test decides it."""
    test, metric = item.paired, analysis.suite.metric
    heading = f"*Exploratory: {item.arm} against {item.reference}* ({changed(item, analysis)})."
    if test.p is None or test.estimate is None:
        return f"{heading} It cannot be told: {test.note}."
    if item.unlearnt:
        return f"{heading} {no_verdict(item, analysis)}"
    return (
        f"{heading} {signed(test.estimate, metric)} (95 % {test.method} interval "
        f"{interval(test.low, test.high, metric)}, n = {test.n} seeds). No comparison named it "
        "before the run, so it is not corrected and proves nothing: name it in a new run."
    )


def equality_paragraph(item: Equality, analysis: Analysis) -> str:
    """Return whether a claim of equality is shown, on both questions, and what it would take."""
    claim, metric = item.claim, analysis.suite.metric
    margin = f"±{signed(claim.margin, metric).removeprefix('+')}"
    lines = [f"*{claim.arm} the same as {claim.reference} within {margin}?*"]
    if item.unlearnt:
        names = " and ".join(item.unlearnt)
        return f"{lines[0]} No verdict: no better than the constant answer: {names}."
    both = "two one-sided tests" if is_mean_over_examples(metric) else "two-way bootstrap"
    for question, test, corrected, how in (
        (ON_THIS_SET, item.on_this_set, item.on_this_set_holm, "two one-sided tests"),
        (ON_NEW_SENTENCES, item.on_new_sentences, item.on_new_sentences_holm, both),
    ):
        if test.p is None:
            lines.append(f"{question}: cannot be tested: {test.note}.")
            continue
        spread = interval(test.low, test.high, metric)
        interval_words = "" if test.low is None else f"90 % interval {spread}; "
        lines.append(
            f"{question}: {'shown' if rejects(corrected) else 'not shown'} ({interval_words}{how}, "
            f"{p_words(test.p)}, Holm over {analysis.claims}: {p_value(corrected)}, "
            f"n = {test.n} seeds{_looked(analysis)})."
        )
        lines += [f"({test.note}.)"] if test.note else []
    if item.stricter is not None and item.stricter.p is not None:
        smaller = f"±{signed(item.stricter.margin, metric).removeprefix('+')}"
        lines.append(
            f"Within {smaller}, the stricter margin named beside it: {p_words(item.stricter.p)} on "
            "this test set, not corrected."
        )
    return " ".join(lines + _seeds_for(item, analysis))


def floor_numbers(floor: Comparison, analysis: Analysis) -> str:
    """Return the numbers of base against head-only: difference, interval, test, n."""
    test, metric = floor.paired, analysis.suite.metric
    return (
        f"{signed(test.estimate, metric)}, 95 % interval {interval(test.low, test.high, metric)}, "
        f"paired t, {p_words(test.p)}, n = {test.n} seeds{_looked(analysis)}"
    )


def changed(item: Comparison, analysis: Analysis) -> str:
    """Return what the arm changes; against another arm than the base, what both change."""
    if item.reference == BASE:
        return _against_base(item.arm, analysis)
    sides = (item.arm, item.reference)
    return "; ".join(f"{name}: {_against_base(name, analysis)}" for name in sides)


@dataclass(frozen=True)
class _Words:
    """How a comparison is spoken of.

    Attributes:
        question: What it asks.
        about: What stands in brackets behind the question.
        subject: What does the scoring.
        verb: Between the subject and the amount.
        than: Behind the amount, from "than" on.
    """

    question: str
    about: str
    subject: str
    verb: str
    than: str

    def sentence(self, amount: str) -> str:
        """Return that it scores so much lower or higher."""
        return f"{self.subject} {self.verb} {amount} {self.than}"


def _words(item: Comparison, analysis: Analysis) -> _Words:
    if item.arm:
        change = f"({changed(item, analysis)})"
        question = f"{item.arm} against {item.reference}"
        return _Words(
            question, f" {change}", f"{item.arm} {change}", "scores", f"than {item.reference}"
        )
    effect = effect_of(item.weights, analysis.suite)
    if effect is None:
        name = escaped(item.name)
        return _Words(name, f" (weights: {_weights(item.weights)})", name, "is", "than 0")
    return _effect_words(escaped(item.name), effect)


def _effect_words(name: str, effect: FactorEffect) -> _Words:
    others = " and ".join(map(escaped, effect.others))
    over = f"averaged over {others}" if others else ""
    about, behind = (f" ({over})", f", {over}") if over else ("", "")
    levels, bases = ([*map(escaped, side)] for side in (effect.levels, effect.bases))
    level, base = levels[0], bases[0]
    if len(effect.factors) == 1:
        question = f"{name}: what does {level} change against {base}?"
        return _Words(question, about, level, "scores", f"than {base}{behind}")
    first, second = map(escaped, effect.factors)
    return _Words(
        question=f"{name}: does {first} matter more, or less, with another {second}?",
        about=about,
        subject=f"the effect of {level} over {base}",
        verb="is",
        than=f"with {levels[1]} than with {bases[1]}{behind}",
    )


def _weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{arm} {weight:+.3g}" for arm, weight in weights.items())


def _over_seeds(item: Comparison, analysis: Analysis) -> list[str]:
    test, metric = item.paired, analysis.suite.metric
    if test.p is None:
        return [f"{ON_THIS_SET}: cannot be tested: {test.note}."]
    return [
        f"{ON_THIS_SET}: {_answer(item, item.paired_holm, test.estimate, analysis)} "
        f"(95 % {test.method} interval {interval(test.low, test.high, metric)}; paired t, "
        f"{p_words(test.p)}, Holm over {analysis.tests}: {p_value(item.paired_holm)}, "
        f"n = {test.n} seeds{_looked(analysis)}).",
        *_sign_flip_words(item, analysis.tests),
    ]


def _over_sentences(item: Comparison, analysis: Analysis) -> list[str]:
    test, metric = item.crossed, analysis.suite.metric
    if test.p is None:
        return [f"{ON_NEW_SENTENCES}: cannot be tested: {test.note}."]
    return [
        f"{ON_NEW_SENTENCES}: {_answer(item, item.crossed_holm, test.estimate, analysis)} "
        f"(95 % interval {interval(test.low, test.high, metric)}; "
        f"{'crossed test' if is_mean_over_examples(metric) else 'two-way bootstrap'}, "
        f"{p_words(test.p)}, Holm over {analysis.tests}: {p_value(item.crossed_holm)}, "
        f"{test.n} seeds × {test.examples:,} sentences).",
        *(_chance_words(test.shares) or [f"({test.note}.)"]),
        *([] if is_mean_over_examples(metric) else _too_few_draws(analysis.tests)),
    ]


def _too_few_draws(tests: int) -> list[str]:
    """Return that the bootstrap cannot reject in so large a family, where it cannot."""
    least = 2 / (BOOTSTRAPS + 1)
    if least * tests <= LEVEL:
        return []
    return [
        f"{BOOTSTRAPS} draws have no p below {p_value(least)}: corrected over {tests}, the "
        "smallest p of a bootstrap cannot say that anything differs."
    ]


def _answer(item: Comparison, p: float | None, mean: float | None, analysis: Analysis) -> str:
    if not rejects(p):
        return f"not shown to differ ({signed(mean or 0.0, analysis.suite.metric)})"
    if item.arm:
        return f"it scores {_lower(mean, analysis)}"
    return _words(item, analysis).sentence(_lower(mean, analysis))


def _lower(mean: float | None, analysis: Analysis) -> str:
    value = mean or 0.0
    amount = signed(abs(value), analysis.suite.metric).removeprefix("+")
    return f"{amount} {'lower' if value < 0 else 'higher'}"


def _sign_flip_words(item: Comparison, family: int) -> list[str]:
    if item.sign_flip is None or item.paired.p is None:
        return []
    numbers = f"{p_words(item.sign_flip)}, Holm over {family}: {p_value(item.sign_flip_holm)}"
    if item.sign_flip_disagrees:
        return [
            f"The exact sign-flip test disagrees ({numbers}): "
            "do not lean on this comparison without more seeds."
        ]
    return [f"The exact sign-flip test agrees ({numbers})."]


def _chance_words(shares: tuple[float, float, float]) -> list[str]:
    if not any(shares):
        return []
    seeds, sentences, both = shares
    text = f"Chance: {seeds:.0%} from seeds, {sentences:.0%} from sentences, {both:.0%} from both;"
    if sentences == max(shares):
        return [f"{text} sentences dominate, so more test sentences would help and seeds hardly."]
    if seeds == max(shares):
        return [f"{text} seeds dominate, so more seeds would help."]
    return [f"{text} their interplay dominates, so more seeds or more sentences would help."]


def _power(item: Comparison, analysis: Analysis) -> list[str]:
    power = None if item.differs or analysis.looks else reach(item.paired, analysis.tests)
    if power is None:
        return []
    smallest = signed(power.detectable, analysis.suite.metric).removeprefix("+")
    text = f"With this spread {item.paired.n} seeds find a true difference of {smallest} in 80 %"
    text += " of suites"
    if power.seeds is None:
        return [f"{text}; one as small as the one seen would take more than 10,000 seeds."]
    return [f"{text}; one as large as the one seen would take {power.seeds:,} seeds."]


def _seeds_for(item: Equality, analysis: Analysis) -> list[str]:
    test: Paired = item.paired
    if item.shown or analysis.looks or not test.sd:
        return []
    needed = seeds_for_margin(test, item.on_this_set, analysis.claims)
    many = "more than 10,000" if needed is None else f"{needed:,}"
    return [
        f"If nothing differed, {many} seeds of this spread would show it in 80 % of suites; "
        f"there are {test.n}."
    ]


def _looked(analysis: Analysis) -> str:
    """Return that p and interval hold for several looks, where there were several."""
    if not analysis.looks:
        return ""
    return f", holding for all {len(analysis.looks)} look(s) of a sequential design"


def _against_base(arm: str, analysis: Analysis) -> str:
    parts = []
    for key, value in analysis.suite.arms[arm].items():
        before = value_of(analysis.suite.plan, key)
        # Tuning may choose for an arm what the base has too.
        if value != before:
            parts.append(
                escaped(f"{changes({key: value})} instead of {setting(before, exact=True)}")
            )
    own = next(item for item in analysis.arms if item.name == arm)
    if own.untuned is not None:
        parts.append(f"untuned: at the base's training.lr, {own.untuned}")
    return ", ".join(parts) or "the suite's own settings"
