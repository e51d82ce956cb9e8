"""The sentences that a suite's evidence allows."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ...analysis import Analysis, Comparison, Equality, SuiteRuns
from ...config.suite import BASE, Tuning
from ...stats import LEVEL, reach
from ...store import RUNS_FOLDER, SUITE_FILE, storage_option
from ..tables.markdown import code_span, escaped
from ..tables.suite import looks_words
from ..tables.text import level, signed
from .comparison import (
    equality_line,
    equality_paragraph,
    exploratory_line,
    exploratory_paragraph,
    floor_numbers,
    line,
    no_verdict,
    paragraph,
    short,
)

# More seeds than this are no remedy: far fewer tell a base that learns from its head.
_MOST_SEEDS = 20


def next_step(analysis: Analysis) -> str:
    """Return whether training or seeds are short where no verdict is given, and what to call next.

    Seeds, where the base scores above the head alone and at most 20 seeds would show a difference
    as large as the one observed in 80 % of suites; else training.
    """
    suite = analysis.suite
    decisive = [arm for arm in analysis.arms if arm.name in (BASE, suite.floor)]
    if any(arm.unfinished or arm.failed for arm in decisive):
        return f"Runs of it are missing or failed: resume it{_resumed(suite)}."
    test = analysis.floor.paired if analysis.floor else None
    if test is not None and test.low is None and (test.estimate or 0.0) > 0:
        return f"No test is possible: {test.note}. More seeds or test sentences may vary."
    if (missing := _missing_seeds(analysis)) is not None:
        why, count = missing
        return f"Too few seeds, it seems: {why}. Add them{_resumed(suite, '--add-seeds', count)}."
    return f"Too little training, it seems: {_why(analysis)}. Train longer{_longer(suite)}."


def _missing_seeds(analysis: Analysis) -> tuple[str, int] | None:
    """Return why seeds are what is missing, and how many; ``None`` where they are not."""
    if analysis.floor is None or BASE in analysis.unlearnt:
        return None
    test = analysis.floor.paired
    power = reach(test, 1)
    if power is None or power.seeds is None or (test.estimate or 0.0) <= 0:
        return None
    if not test.n < power.seeds <= _MOST_SEEDS:
        return None
    observed = signed(test.estimate, analysis.suite.metric)
    why = f"to show a difference of {observed} in 80 % of suites takes {power.seeds}, there are"
    return f"{why} {test.n}", power.seeds - test.n


def _why(analysis: Analysis) -> str:
    if BASE in analysis.unlearnt:
        return "the base does no better than the constant answer"
    test = analysis.floor.paired if analysis.floor else None
    if test is None or (test.estimate or 0.0) <= 0:
        return f"the base scores no higher than {_untrained(analysis)}"
    observed, power = signed(test.estimate, analysis.suite.metric), reach(test, 1)
    if power is None or power.seeds is None or power.seeds > _MOST_SEEDS:
        return f"to show {observed} would take more than {_MOST_SEEDS} seeds"
    return f"{observed} over {_untrained(analysis)} is not shown with {test.n} seeds"


def _untrained(analysis: Analysis) -> str:
    return "the untrained model" if analysis.suite.plan.is_language else "its head alone"


def _no_floor(analysis: Analysis) -> str:
    return f"the suite has no {analysis.suite.plan.floor_method} arm"


def _resumed(suite: SuiteRuns, *options: object) -> str:
    return _by(suite, ["--resume", suite.name], *map(str, options))


def _longer(suite: SuiteRuns) -> str:
    training = suite.plan.training
    length = (
        f"training.steps={2 * training.steps}"
        if training.steps
        else f"training.epochs={2 * training.epochs:g}"
    )
    file = str(suite.folder / SUITE_FILE)
    return _by(suite, ["--suite", file, "--set", f"name={suite.name}-longer", "--set", length])


def _by(suite: SuiteRuns, words: list[str], *more: str) -> str:
    # An archive has no runs that a command could resume.
    if not (suite.folder / RUNS_FOLDER).is_dir():
        return ""
    elsewhere = storage_option(suite.folder.parent.parent)
    command = ["lora2-search", "ablate", *words, *elsewhere, *more]
    return f" with {code_span(shlex.join(command))}"


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
    if not analysis.gives_verdicts:
        sure = analysis.trained is False or BASE in analysis.unlearnt
        known = "Not" if sure else "Not known to be"
        why = f"{known} trained enough to tell: {_floor(analysis)}"
        return f"{why} So there is no verdict on any part. {next_step(analysis)}"
    return " ".join([_floor(analysis), _differences(analysis), *_equalities(analysis)])


def _differences(analysis: Analysis) -> str:
    if not analysis.family:
        nothing = "nothing else was tested" if not analysis.equivalence else "none was tested"
        return f"The suite names no comparison, so {nothing}."
    family = [item for item in analysis.family if not item.unlearnt]
    without_verdict = [no_verdict(item, analysis) for item in analysis.family if item.unlearnt]
    return " ".join(
        [*([_tested_differences(family, analysis)] if family else []), *without_verdict]
    )


def _tested_differences(family: Sequence[Comparison], analysis: Analysis) -> str:
    differing = [item for item in family if item.differs]
    test = _test(analysis)
    untested = [item.paired.note for item in family if item.paired.p is None]
    if len(untested) == len(family):
        return f"No comparison can be tested: {'; '.join(dict.fromkeys(untested))}."
    note = f"; {len(untested)} could not be tested" if untested else ""
    if not differing:
        return (
            f"None of {len(family)} comparison(s) shows a difference ({test}{note}). "
            "That is no proof that the parts do nothing: read the intervals."
        )
    sentences = " ".join(short(item, analysis) for item in differing)
    return f"{sentences} ({len(differing)} of {len(family)} comparisons, {test}{note}.)"


def _test(analysis: Analysis) -> str:
    counts = [item.paired.n for item in analysis.family]
    low, high = min(counts), max(counts)
    # Not all seeds that were planned need be there.
    seeds = f"n = {low} seeds" if low == high else f"n = {low} to {high} seeds"
    text = f"Holm-corrected paired t at {LEVEL}, {seeds}"
    if len(analysis.family) < analysis.tests:
        text += f", corrected over {analysis.tests} comparisons on all tasks"
    return text + looks_words(analysis)


def _equalities(analysis: Analysis) -> list[str]:
    """Return which claims of equality are shown, and which are not."""
    differing = {item.name for item in analysis.family if item.differs}
    shown = [item for item in analysis.equivalence if item.shown]
    sentences = []
    for word, link, items in (
        ("The same", "as", [item for item in shown if item.name not in differing]),
        ("Different, but little", "from", [item for item in shown if item.name in differing]),
        ("Not shown to be the same", "as", [i for i in analysis.equivalence if not i.shown]),
    ):
        if items:
            claims = "; ".join(_claim(item, link, analysis) for item in items)
            sentences.append(f"{word} on this test set: {claims} (two one-sided tests, Holm).")
    return sentences


def _claim(item: Equality, link: str, analysis: Analysis) -> str:
    margin = signed(item.claim.margin, analysis.suite.metric).removeprefix("+")
    return f"{item.claim.arm} {link} {item.claim.reference} within ±{margin}"


@dataclass(frozen=True)
class Story:
    """What is said of a comparison, contrast or claim.

    Attributes:
        line: In one line.
        text: In full, with tests, intervals and power.
    """

    line: str
    text: str


def stories(analysis: Analysis) -> list[Story]:
    """Return what is said of every comparison, contrast and claim, those nothing named last.

    None when the suite is not known to be trained enough: then nothing is concluded of any part.
    """
    if not analysis.gives_verdicts:
        return []
    return [
        *(Story(line(item, analysis), paragraph(item, analysis)) for item in analysis.family),
        *(
            Story(equality_line(item, analysis), equality_paragraph(item, analysis))
            for item in analysis.equivalence
        ),
        *(
            Story(exploratory_line(item, analysis), exploratory_paragraph(item, analysis))
            for item in analysis.exploratory
        ),
    ]


def details(analysis: Analysis) -> list[str]:
    """Return one paragraph per comparison, contrast and claim, as ``stories`` has them."""
    return [story.text for story in stories(analysis)]


def _training_sentences(size: int | float) -> str:
    if isinstance(size, int):
        return f"at most {size:,} training sentences"
    return f"{size:.0%} of the training sentences"


def not_tested(analysis: Analysis) -> list[str]:
    """Return what a reader must not conclude from the suite."""
    plan = analysis.suite.plan
    model, size = plan.model, plan.data.train_size
    lines = [
        f"Anything but this set-up: task {escaped(plan.task)}, model {escaped(model.name_or_path)}"
        + (f" cut to {model.layers} layers" if model.layers else "")
        + (f", {_training_sentences(size)}" if size else "")
        + f", protocol {plan.protocol}.",
        _not_equal(analysis),
        _not_tuned(plan.tuning),
        _not_together(analysis),
    ]
    if analysis.exploratory:
        arms = ", ".join(item.arm for item in analysis.exploratory)
        lines.append(f"Arms in no comparison, told as exploratory only: {arms}.")
    if plan.floor is None:
        lines.append(f"Whether the base was trained enough: {_no_floor(analysis)}.")
    return lines


def _not_equal(analysis: Analysis) -> str:
    note = "A difference that was not shown may still be there, as far as its interval reaches."
    if not analysis.equivalence:
        return (
            f"Equality: no margin was named before the run, so no test of equality was made. {note}"
        )
    return f"Equality of arms for which no margin was named before the run. {note}"


def _not_tuned(tuning: Tuning | None) -> str:
    if tuning is None:
        return (
            "Arms tuned for themselves: every arm uses the base's settings (its learning rate too) "
            "but for what it changes."
        )
    return (
        f"Arms tuned beyond {', '.join(tuning.arms)}, or over more than the values that the "
        "suite lists for them: every other setting is the base's."
    )


def _not_together(analysis: Analysis) -> str:
    if analysis.suite.plan.contrasts:
        return (
            "Combinations beyond the contrasts named: how three parts or more work together is not "
            "known."
        )
    return (
        "Combinations: each arm is compared with its reference alone, so how parts work together "
        "is not known."
    )


def what_diverged_counts_as(analysis: Analysis) -> str:
    """Return what a diverged run counts as doing."""
    if analysis.suite.plan.is_language:
        return "has no answer right"
    return "always answers the commonest class"


def notes(analysis: Analysis) -> list[str]:
    """Return what went wrong or is missing, one sentence each."""
    lines = []
    for arm in analysis.arms:
        if arm.diverged:
            lines.append(
                f"{arm.name}: {len(arm.diverged)} of {len(analysis.suite.seeds)} runs diverged "
                f"(seed {_seeds(arm.diverged)}); each counts as a run that "
                f"{what_diverged_counts_as(analysis)}."
            )
        lines += [
            f"{arm.name}, seed {seed}: failed: {escaped(why)}" for seed, why in arm.failed.items()
        ]
        if arm.unfinished:
            lines.append(
                f"{arm.name}: no finished run of seed {_seeds(arm.unfinished)}; "
                "only seeds that both arms have are compared."
            )
    lines += [f"{escaped(name)}: its record cannot be read" for name in analysis.suite.unreadable]
    added = tuple(analysis.suite.plan.added_seeds)
    if added:
        lines.append(
            f"{len(added)} of {len(analysis.suite.seeds)} seeds ({_seeds(added)}) were added after "
            "the others had been run. The tests take the number of seeds as fixed beforehand: if "
            "it was the result that asked for more, they find differences too often."
        )
    if _interim(analysis) and not analysis.suite.plan.until_decided:
        lines.append(
            "The suite is not finished: whoever looks again and again and stops when something "
            "differs finds differences too often. The verdict is the one of all runs."
        )
    return lines


def _floor(analysis: Analysis) -> str:
    floor = analysis.floor
    if BASE in analysis.unlearnt:
        return _constant_base(analysis)
    if floor is None:
        return f"Whether the base was trained enough is not known: {_no_floor(analysis)}."
    test = floor.paired
    if test.p is None:
        return f"the base could not be tested against {floor.reference}: {test.note}."
    numbers = floor_numbers(floor, analysis)
    if analysis.trained:
        return f"Trained enough to tell: the base beats {floor.reference} ({numbers})."
    return f"the base does not beat {floor.reference} by test ({numbers})."


def _constant_base(analysis: Analysis) -> str:
    metric, base = analysis.suite.metric, analysis.arms[0]
    return (
        f"the base ({level(base.mean, metric)}) does no better than the constant answer "
        f"({level(base.constant, metric)})."
    )


def _seeds(seeds: tuple[int, ...]) -> str:
    return ", ".join(str(seed) for seed in seeds)
