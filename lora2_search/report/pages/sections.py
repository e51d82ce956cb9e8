"""What a suite's report says, section by section: the same for Markdown and for the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...analysis import (
    Analysis,
    Evidence,
    SuiteRuns,
    overall,
    pruned_arms,
)
from ...config import is_mean_over_examples
from ...config.suite import BASE
from ...store import RunRecord
from ..tables.examples import (
    confusion_table,
    disagreement_table,
    generated_table,
    rank_table,
)
from ..tables.markdown import code_span, escaped
from ..tables.suite import (
    arm_table,
    equality_table,
    seed_table,
    sentence_table,
    tuning_table,
)
from ..tables.table import Table
from ..words.across_tasks import overall_words
from ..words.by_hand import by_hand
from ..words.constant import constant_line
from ..words.health import health_lines
from ..words.provenance import again, compute_statement, made_with
from ..words.served import no_loras
from ..words.verdict import details, not_tested, notes

_ABOUT_SEEDS = """\
*Does an arm differ on this test set, when trained again with other seeds?* Arm minus reference,
paired by seed: the seeds of a pair share data order and every start weight that both arms have.
95 % interval of the mean difference; p of the paired t test; Holm's correction over the {family}
comparison(s) named before the run; the exact sign-flip test beside it, corrected in the same way,
from the number of seeds with which it can reject at all. {floor}"""

_ABOUT_LOOKS = """\
Seeds are added by a plan made beforehand, until every comparison is decided or there are {most}
seeds; looks so far: at {looks} seeds. Every p value and interval holds for all these looks and
those to come (a repeated p value and a repeated confidence interval, of which the last look alone
would be narrower); without them, looking again and again would find differences too often
(docs/ablation.md)."""

_ABOUT_SENTENCES = """\
*Would it differ on new sentences too?* The same differences {how}
The last columns say where the chance in a difference comes from: seeds, sentences, or both
together (how a sentence falls out with a seed)."""

_CROSSED = """sentence by sentence, with seeds and sentences both
taken as samples (crossed random effects, Satterthwaite's degrees of freedom), corrected apart."""

_BOOTSTRAP = """with seeds and sentences drawn anew together
(two-way bootstrap: this metric is no mean over sentences). Below 20 seeds its interval is too
narrow, so read it as the least uncertainty there is."""

_ABOUT_MISTAKES = (
    "Test sentences a run that are taken for another class, mean over the runs of an arm; the "
    "commonest mistakes of all arms together. Diverged runs are left out."
)

_ABOUT_EXAMPLES = (
    "Of the first named comparisons, the test examples that one arm gets right with more seeds "
    "than the other. They were sought out because they differ: they show what the arms do "
    "differently, and prove nothing."
)

_ABOUT_WRITTEN = "The first answers on the test split."

_ABOUT_LEARNT = "A training example; the tokens that are learnt stand in ⟦ ⟧."

_MOST_WRITTEN = 5


# Sections that a page treats apart.
ARMS, KEPT_RANKS, PROBLEMS = "Arms", "Kept ranks", "Missing, failed, diverged, added"


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: Heading; empty for what stands under the verdict.
        text: Paragraphs, in Markdown of emphasis and code alone.
        lines: Items of a list.
        tables: Tables, each with a line above it, which may be empty.
        code: A block of code.
        language: What it is written in.
    """

    title: str
    text: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    code: str = ""
    language: str = ""


def task_sections(evidence: Evidence) -> list[Section]:
    """Return the sections of one task; those that would be empty are left out."""
    analysis = evidence.analysis
    suite = analysis.suite
    sections = [
        Section("", tuple(details(analysis))),
        Section(PROBLEMS, lines=tuple(notes(analysis))),
        _seeds(analysis),
        _sentences(analysis),
        _equality(analysis),
        _exploratory(analysis),
        _arms(evidence),
        _tuning(evidence),
        _mistakes(evidence),
        _language(evidence),
        _examples(evidence),
        Section("Health flags", lines=tuple(health_lines(suite))),
        _kept_ranks(suite),
        Section("Not tested", lines=tuple(not_tested(analysis))),
        Section(
            "Check it by hand",
            ("In this folder:" if evidence.archived else f"In {code_span(str(suite.folder))}:",),
            code=by_hand(analysis, evidence.archived),
            language="python",
        ),
    ]
    return [item for item in sections if item.text or item.lines or item.tables]


def overall_sections(evidence: Mapping[str, Evidence]) -> list[Section]:
    """Return what holds over all tasks; nothing of a suite of one."""
    if len(evidence) < 2:
        return []
    result = overall({task: item.analysis for task, item in evidence.items()})
    return [Section("Over all tasks", tuple(overall_words(result)))]


def common_sections(evidence: Mapping[str, Evidence]) -> list[Section]:
    """Return what stands once for all tasks: how to run it again, what it cost, made with."""
    first = next(iter(evidence.values()))
    suite, records = first.analysis.suite, all_records(evidence)
    code = again(suite, first.archived)
    where = ", in this folder" if first.archived else ""
    return [
        Section("Run it again", (f"The same suite under another name{where}:",), code=code),
        Section("Compute", (escaped(compute_statement(records)),)),
        *([Section("Made with", lines=tuple(map(escaped, made_with(records))))] if records else []),
    ]


def all_records(evidence: Mapping[str, Evidence]) -> list[RunRecord]:
    """Return the records of every run of every task, and of the tuning before it."""
    first = next(iter(evidence.values()))
    return [r for item in evidence.values() for r in item.records] + first.tuning.records


def _seeds(analysis: Analysis) -> Section:
    text = _ABOUT_SEEDS.format(family=analysis.tests, floor=_floor_words(analysis)).strip()
    looks = ", ".join(map(str, analysis.looks))
    texts = [text]
    if analysis.looks:
        texts.append(_ABOUT_LOOKS.format(looks=looks, most=analysis.suite.plan.sequential.most))
    table = ("", seed_table(analysis))
    return Section("Over new seeds, on this test set", tuple(texts), tables=(table,))


def _sentences(analysis: Analysis) -> Section:
    how = _CROSSED if is_mean_over_examples(analysis.suite.metric) else _BOOTSTRAP
    table = ("", sentence_table(analysis))
    text = _ABOUT_SENTENCES.format(how=how)
    return Section("On new sentences too", (text,), tables=(table,))


def _equality(analysis: Analysis) -> Section:
    table = equality_table(analysis)
    if not table:
        return Section("Equality")
    text = (
        "Two one-sided tests against a margin that was named before the run: the only test here "
        "that can say “no difference”. "
    )
    if not is_mean_over_examples(analysis.suite.metric):
        text += (
            "Over seeds they are t tests; on new sentences seeds and sentences are drawn anew "
            "together (two-way bootstrap). "
        )
    if analysis.looks:
        text += "Its p value holds for all looks; no interval is given that would."
    else:
        text += "Its 90 % interval lies within the margin where it does."
    return Section("Equality", (text,), tables=(("", table),))


def _exploratory(analysis: Analysis) -> Section:
    table = seed_table(analysis, analysis.exploratory)
    text = (
        "Arms that nothing named before the run compares, against the base. Not corrected and "
        "chosen by nobody: such a difference is a question for another suite, no finding."
    )
    title = "Exploratory: not named before the run"
    return Section(title, (text,), tables=(("", table),)) if table else Section(title)


def _arms(evidence: Evidence) -> Section:
    suite = evidence.analysis.suite
    sizes = next((run.record.sizes for run in suite.runs.values() if run.record.sizes), {})
    counts = ", ".join(f"{count:,} {name}" for name, count in sizes.items())
    text = (
        f"Test score: mean ± standard deviation over seeds. Sentences: {counts or 'unknown'}. "
        "Parameters: *trained*; *kept* after pruning; *compressed* to a plain LoRA of the kept "
        "rank, which is what would be served. Seconds with set-up and evaluation."
    )
    table = arm_table(evidence.analysis, evidence.published)
    if others := no_loras(suite.runs):
        text += f" {others}"
    records = (run.record for run in suite.runs.values())
    if line := constant_line(records, suite.metric, ["test"]):
        text += f" {escaped(line)}"
    return Section(ARMS, (text,), tables=(("", table),))


def _tuning(evidence: Evidence) -> Section:
    table = tuning_table(evidence.analysis, evidence.tuning)
    if not table:
        return Section("Tuning")
    text = (
        "Settings that were chosen for each arm before the suite, by the mean validation score "
        "over tuning seeds that the suite does not use. Expected best: what fewer trials would "
        "have found on average (Dodge et al. 2019)."
    )
    if evidence.analysis.suite.plan.open_ends:
        text += (
            " Open end: the settings that were chosen at the end of their grid, where that beat "
            "its inner neighbour by more than one standard error of the paired difference over the "
            "tuning seeds; a wider grid may do better."
        )
    return Section("Tuning", (text,), tables=(("", table),))


def _mistakes(evidence: Evidence) -> Section:
    table = confusion_table(evidence.analysis.suite, evidence.analysis.scores)
    return Section("Mistakes", (_ABOUT_MISTAKES,) if table else (), tables=_tables([("", table)]))


def _language(evidence: Evidence) -> Section:
    """Return what a language model learns, and what the base and the floor write."""
    suite, written = evidence.analysis.suite, evidence.written
    title = "What is learnt, and written"
    example = next((run.record.example for run in suite.runs.values() if run.record.example), "")
    if not example:
        return Section(title)
    tables = [
        (f"{arm}, seed {written[arm][0]}:", generated_table(written[arm][1][:_MOST_WRITTEN]))
        for arm in (BASE, suite.floor)
        if arm in written
    ]
    text = _ABOUT_LEARNT if not tables else f"{_ABOUT_WRITTEN} {_ABOUT_LEARNT}"
    return Section(title, (text,), tables=_tables(tables), code=example)


def _examples(evidence: Evidence) -> Section:
    suite = evidence.analysis.suite
    tables = [
        (
            f"{arm} against {reference}:",
            disagreement_table(
                disagreements, suite, arm, reference, evidence.texts, evidence.written
            ),
        )
        for (arm, reference), disagreements in evidence.disagreements.items()
    ]
    shown = _tables(tables)
    if not shown:
        return Section("Where two arms differ most")
    text = _ABOUT_EXAMPLES
    if not evidence.texts:
        text += " Their texts are not shown: the data that was trained on is not on this machine."
    return Section("Where two arms differ most", (text,), tables=shown)


def _kept_ranks(suite: SuiteRuns) -> Section:
    tables = [(f"{arm}:", rank_table(records)) for arm, records in pruned_arms(suite).items()]
    about = "Mean over the complete runs, by block and kind of module."
    return Section(KEPT_RANKS, (about,) if tables else (), tables=_tables(tables))


def _floor_words(analysis: Analysis) -> str:
    if analysis.floor is None:
        return ""
    return (
        f"The last row, {BASE} against {analysis.floor.reference}, is tested first and apart: it "
        "tells whether the suite was trained enough for the others to mean anything."
    )


def _tables(
    tables: Iterable[tuple[str, Table]],
) -> tuple[tuple[str, Table], ...]:
    return tuple((heading, rows) for heading, rows in tables if rows)
