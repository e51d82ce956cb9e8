"""A suite's numbers as tables: one column order for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ...analysis import Analysis, Arm, Comparison, flag_counts
from ...stats import TestResult, expected_best, rejects
from .table import NONE, Column, Spread, Table, text_column
from .text import (
    between,
    changes,
    counts,
    differences,
    level,
    p_value,
    p_values,
    scores,
    seconds,
)

if TYPE_CHECKING:
    from ...analysis import Published, Tuning

# Numbers of parameters, by their names in records, as headings.
PARAMETERS = {
    "trained_adapter": "trained (adapter)",
    "trained_head": "trained (head)",
    "kept_adapter": "kept",
    "compressed_adapter": "compressed",
}


class Runs(NamedTuple):
    """How many runs of an arm count, of how many planned; how many of them diverged, or failed."""

    counted: int
    planned: int
    diverged: int
    failed: int

    def __str__(self) -> str:
        parts = [f"{self.counted} of {self.planned}"]
        parts += [f"{self.diverged} diverged"] if self.diverged else []
        parts += [f"{self.failed} failed"] if self.failed else []
        return ", ".join(parts)


def suite_tables(analyses: Mapping[str, Analysis]) -> dict[str, Table]:
    """Return the tables of a suite, analysed by task: ``arms``, ``seeds`` and ``sentences``.

    Those of a suite of several tasks are named ``boolq: arms`` and so on.
    """
    tables = {}
    for task, analysis in analyses.items():
        prefix = f"{task}: " if task else ""
        tables[f"{prefix}arms"] = arm_table(analysis)
        tables[f"{prefix}seeds"] = seed_table(analysis)
        tables[f"{prefix}sentences"] = sentence_table(analysis)
    return tables


def arm_table(
    analysis: Analysis, published: Mapping[tuple[str, str], Published] | None = None
) -> Table:
    """Return one row per arm: score, runs that count, parameters, seconds, health flags.

    Args:
        analysis: The suite's numbers.
        published: Numbers of others, by (arm, metric): a column of their own where there are any.
    """
    metric, planned = analysis.suite.metric, len(analysis.suite.seeds)
    numbers = {arm: number for (arm, name), number in (published or {}).items() if name == metric}
    columns = [
        text_column("arm"),
        Column("changes", "changes", "left", changes, wraps=True),
        scores("score", f"test {analysis.suite.shown_metric}", metric),
        *([Column("published", "published", format=_published)] if numbers else []),
        Column("runs", "runs"),
        *(counts(key, heading) for key, heading in PARAMETERS.items()),
        Column("seconds", "time per run", format=seconds, unit="s"),
        text_column("flags"),
    ]
    rows = [
        {
            "arm": arm.name,
            "changes": arm.changes,
            "score": None if arm.mean is None else Spread(arm.mean, arm.sd),
            "published": numbers.get(arm.name),
            "runs": Runs(len(arm.scores), planned, len(arm.diverged), len(arm.failed)),
            **{key: arm.counts.get(key) for key in PARAMETERS},
            "seconds": arm.seconds,
            "flags": flag_counts(arm.records) or None,
        }
        for arm in analysis.arms
    ]
    return _with_remarks(columns, rows, [arm_remarks(analysis, arm) for arm in analysis.arms])


def arm_remarks(analysis: Analysis, arm: Arm) -> list[str]:
    """Return what must stand beside an arm's score; nothing of most arms."""
    metric, remarks = analysis.suite.metric, []
    if arm.name in analysis.unlearnt:
        remarks.append(f"no better than the constant answer ({level(arm.constant, metric)})")
    if arm.untuned is not None:
        remarks.append(f"untuned: the base's training.lr, {arm.untuned}")
    return remarks


def comparison_remarks(analysis: Analysis, item: Comparison) -> list[str]:
    """Return what must stand beside a difference: that it is no verdict, that an arm is untuned."""
    remarks = [f"no verdict: {_no_better(item.unlearnt)}"] if item.unlearnt else []
    untuned = [arm.name for arm in analysis.arms if arm.untuned is not None]
    without_tuning = [name for name in untuned if item.weights.get(name)]
    return [*remarks, *(f"{name} untuned (the base's training.lr)" for name in without_tuning)]


def _untested(test: TestResult) -> list[str]:
    """Return why a difference has no interval; nothing where it has one."""
    return [test.note] if test.low is None and test.note else []


def _no_better(arms: Sequence[str]) -> str:
    verb = "does" if len(arms) == 1 else "do"
    return f"{' and '.join(arms)} {verb} no better than the constant answer"


def _with_remarks(
    columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], remarks: Sequence[Sequence[str]]
) -> Table:
    """Return a table with a column of remarks, only where there are any."""
    if not any(remarks):
        return Table(tuple(columns), tuple(rows))
    remarked = (
        {**row, "remarks": "; ".join(own) or None} for row, own in zip(rows, remarks, strict=True)
    )
    return Table((*columns, text_column("remarks", wraps=True)), tuple(remarked))


def seed_table(analysis: Analysis, items: Sequence[Comparison] | None = None) -> Table:
    """Return the paired differences over seeds, on this test set.

    Args:
        analysis: The suite's numbers.
        items: What to show; by default the family, and the floor check last.
    """
    metric, items = analysis.suite.metric, _all(analysis) if items is None else items
    columns = [
        text_column("comparison"),
        differences("difference", "difference", metric),
        differences("interval", "95 % interval", metric),
        p_values("p", "p (paired t)"),
        p_values("p_holm", "p (Holm)"),
        Column("p_sign_flip", "p (sign-flip)", format=_sign_flip),
        p_values("p_sign_flip_holm", "p (sign-flip, Holm)"),
        Column("seeds", "n"),
        Column("ties", "ties"),
    ]
    rows = []
    for item in items:
        test, named = item.paired, item in analysis.family
        rows.append(
            {
                "comparison": item.name,
                "difference": test.estimate,
                "interval": between(test.low, test.high),
                "p": test.p,
                "p_holm": item.paired_holm if named else None,
                "p_sign_flip": item.sign_flip if item.sign_flip is not None else _needed(item),
                "p_sign_flip_holm": item.sign_flip_holm if named else None,
                "seeds": test.n,
                "ties": test.ties,
            }
        )
    remarks = [comparison_remarks(analysis, item) + _untested(item.paired) for item in items]
    return _with_remarks(columns, rows, remarks)


def sentence_table(analysis: Analysis) -> Table:
    """Return the crossed tests, over new seeds and new sentences; the floor check is last."""
    metric, items = analysis.suite.metric, _all(analysis)
    columns = [
        text_column("comparison"),
        differences("difference", "difference", metric),
        differences("interval", "95 % interval", metric),
        p_values("p"),
        p_values("p_holm", "p (Holm)"),
        Column("samples", "seeds × sentences"),
        Column("from_seeds", "chance: seeds", format=_share, unit="%"),
        Column("from_sentences", "sentences", format=_share, unit="%"),
        Column("from_both", "both", format=_share, unit="%"),
    ]
    rows = []
    for item in items:
        test = item.crossed
        shares = test.shares if any(test.shares) else (None, None, None)
        rows.append(
            {
                "comparison": item.name,
                "difference": test.estimate,
                "interval": between(test.low, test.high),
                "p": test.p,
                "p_holm": item.crossed_holm if item in analysis.family else None,
                "samples": f"{test.n} × {test.examples}",
                **dict(zip(("from_seeds", "from_sentences", "from_both"), shares, strict=True)),
            }
        )
    remarks = [comparison_remarks(analysis, item) + _untested(item.crossed) for item in items]
    return _with_remarks(columns, rows, remarks)


def equality_table(analysis: Analysis) -> Table:
    """Return the claims of equality that were named before the run, tested.

    No verdict where the suite is not known to be trained enough: untrained, all arms look alike.
    """
    metric = analysis.suite.metric
    columns = (
        text_column("claim"),
        replace(differences("margin", "margin", metric), format=_margin(metric)),
        differences("difference", "difference", metric),
        differences("interval", "90 % interval", metric),
        p_values("p_holm", "p (Holm)"),
        text_column("shown", "on this test set"),
        p_values("p_holm_new_sentences", "p (new sentences, Holm)"),
        text_column("shown_new_sentences", "on new sentences"),
        text_column("remarks", wraps=True),
    )
    rows = []
    for item in analysis.equivalence:
        same_set, new = item.on_this_set, item.on_new_sentences
        row = {
            "claim": f"{item.claim.arm} equals {item.claim.reference}",
            "margin": item.claim.margin,
            "difference": item.paired.estimate,
            "interval": between(same_set.low, same_set.high),
        }
        if not analysis.gives_verdicts:
            row["remarks"] = "not shown to be trained enough"
        elif item.unlearnt:
            row["remarks"] = _no_better(item.unlearnt)
        else:
            row |= {
                "p_holm": item.on_this_set_holm,
                "shown": _shown(item.on_this_set_holm),
                "p_holm_new_sentences": item.on_new_sentences_holm,
                "shown_new_sentences": _shown(item.on_new_sentences_holm),
                "remarks": same_set.note or new.note or None,
            }
        rows.append(row)
    return Table(columns, tuple(rows))


def tuning_table(analysis: Analysis, tuning: Tuning) -> Table:
    """Return one row per tuned arm: what was chosen, of how many, what fewer would have found."""
    metric = analysis.suite.metric
    chosen, ends = analysis.suite.plan.tuned or {}, analysis.suite.plan.open_ends
    columns = (
        text_column("arm"),
        Column("chosen", "chosen", "left", changes, wraps=True),
        *([text_column("open_end", "open end")] if ends else []),
        Column("trials", "trials"),
        scores("best", f"best validation {metric}", metric),
        scores("expected_of_one", "expected best of 1", metric),
        scores("expected_of_half", "expected best of half", metric),
    )
    rows = []
    for arm, found in tuning.trial_scores(metric).items():
        best = expected_best(found)
        rows.append(
            {
                "arm": arm,
                "chosen": chosen.get(arm, {}),
                "open_end": ", ".join(ends.get(arm, [])),
                "trials": _of(len(found), tuning.trials(arm)),
                "best": max(found),
                "expected_of_one": best[0],
                "expected_of_half": best[(len(best) + 1) // 2 - 1],
            }
        )
    return Table(columns, tuple(rows))


def _of(complete: int, run: int) -> str:
    return str(run) if complete == run else f"{complete} of {run} complete"


def looks_words(analysis: Analysis) -> str:
    """Return that looks were taken, and at which seeds; empty for a suite without them."""
    if not analysis.looks:
        return ""
    return f", group-sequential with looks at {', '.join(map(str, analysis.looks))} seeds"


def _all(analysis: Analysis) -> list[Comparison]:
    return [*analysis.family, *([analysis.floor] if analysis.floor else [])]


def _shown(p: float | None) -> str:
    if p is None:
        return "not tested"
    return "shown" if rejects(p) else "not shown"


def _published(number: Published | None) -> str:
    if number is None:
        return NONE
    return f"{number.value} ({number.source})" if number.source else number.value


def _needed(item: Comparison) -> str:
    return f"needs {item.sign_flip_seeds} seeds"


def _sign_flip(value: float | str | None) -> str:
    return value if isinstance(value, str) else p_value(value)


def _share(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.0f}"


def _margin(metric: str) -> Callable[[float], str]:
    form = differences("margin", "margin", metric).format
    return lambda value: f"± {form(value).removeprefix('+')}"
