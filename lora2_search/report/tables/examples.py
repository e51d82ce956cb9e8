"""Ranks, mistakes and disagreements as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ...analysis import (
    Disagreement,
    Generated,
    Mistakes,
    Scored,
    SuiteRuns,
    Texts,
    Written,
    class_names,
    mean_ranks,
    mistake_counts,
    named,
)
from ...stats import CORRELATIONS
from ...store import RunRecord
from .table import NONE, Column, Table, text_column


def generated_table(answers: Sequence[Generated]) -> Table:
    """Return one row per answer that a language model wrote."""
    columns = (
        text_column("prompt", wraps=True),
        text_column("answer", "right answer", wraps=True),
        text_column("generated", wraps=True),
        text_column("right", "counts as"),
    )
    rows = (
        {
            "prompt": one.prompt,
            "answer": one.answer,
            "generated": one.generated,
            "right": "right" if one.right else "wrong",
        }
        for one in answers
    )
    return Table(columns, tuple(rows))


def rank_table(records: Sequence[RunRecord]) -> Table:
    """Return one row per block: the mean kept rank of each kind of module, whole for a single run.

    Empty where no run has ranks.
    """
    mean = mean_ranks(records)
    if mean is None:
        return Table(())
    digits = 0 if mean.runs == 1 else 1

    def text(rank: float | None) -> str:
        return NONE if rank is None else f"{rank:.{digits}f}"

    columns = (text_column("block"), *(Column(kind, kind, format=text) for kind in mean.kinds))
    rows = (
        {"block": layer, **dict(zip(mean.kinds, ranks, strict=True))}
        for layer, ranks in zip(mean.layers, mean.ranks, strict=True)
    )
    return Table(columns, tuple(rows))


_SHOWN = 6


def confusion_table(
    suite: SuiteRuns, scores: Mapping[tuple[str, int], Scored], shown: int = _SHOWN
) -> Table:
    """Return, for each arm, how many test sentences per run of one class are taken for another.

    Args:
        suite: The suite.
        scores: Its runs that count, by (arm, seed). Diverged ones are left out: they made no
            predictions.
        shown: The commonest mistakes over all arms, at most so many.

    Returns:
        An empty table for tasks without classes, and where no run left predictions.
    """
    if suite.plan.is_language:
        return Table(())
    counts = {arm: mistake_counts(suite, scores, arm) for arm in suite.arms}
    total: Mistakes = sum((mistakes for mistakes, _ in counts.values()), Counter())
    names = class_names(suite)
    if suite.metric in CORRELATIONS or not any(runs for _, runs in counts.values()):
        return Table(())
    pairs = sorted(pair for pair, _ in total.most_common(shown))
    headings = {
        f"{label} as {answer}": f"{named(names, label)} taken for {named(names, answer)}"
        for label, answer in pairs
    }
    columns = (
        text_column("arm"),
        Column("runs", "runs"),
        *(Column(key, heading, format=_mean) for key, heading in headings.items()),
        Column("all", "all mistakes", format=_mean),
    )
    rows = []
    for arm, (mistakes, runs) in counts.items():
        found = {**dict(zip(headings, (mistakes[pair] for pair in pairs), strict=True))}
        found["all"] = sum(mistakes.values())
        means = {key: number / runs if runs else None for key, number in found.items()}
        rows.append({"arm": arm, "runs": runs, **means})
    return Table(columns, tuple(rows))


def disagreement_table(
    disagreements: Sequence[Disagreement],
    suite: SuiteRuns,
    arm: str,
    reference: str,
    texts: Texts,
    written: Mapping[str, Written] = MappingProxyType({}),
) -> Table:
    """Return one row per example; without a text, the number tells the example.

    Of a language model it has what both arms wrote, where they left it, and no class.
    """
    names, numbers = class_names(suite), suite.metric in CORRELATIONS
    is_language = suite.plan.is_language
    wrote = {
        key: (f"{name} wrote (seed {written[name][0]})", _by_example(written[name][1]))
        for key, name in (("ours wrote", arm), ("theirs wrote", reference))
        if name in written
    }

    def label(value: float) -> str:
        return f"{value:.3g}" if numbers else named(names, int(value))

    labels = Column("label", "label", "right" if numbers else "left", label)
    columns = (
        Column("example", "example"),
        *(() if is_language else (labels,)),
        text_column("ours", arm),
        text_column("theirs", reference),
        text_column("text", wraps=True),
        *(text_column(key, heading, wraps=True) for key, (heading, _) in wrote.items()),
    )
    rows = (
        {
            "example": item.example,
            "label": item.label,
            "ours": _right(item.ours, item.seeds, numbers),
            "theirs": _right(item.theirs, item.seeds, numbers),
            "text": texts.get(item.example),
            **{key: found.get(item.example) for key, (_, found) in wrote.items()},
        }
        for item in disagreements
    )
    return Table(columns, tuple(rows))


def _by_example(written: Sequence[Generated]) -> Texts:
    return {one.example: one.generated for one in written}


def _mean(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _right(value: float, seeds: int, numbers: bool) -> str:
    return f"off by {-value:.3g}" if numbers else f"right {value:.0f} of {seeds}"
