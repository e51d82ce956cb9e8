"""Tables for papers, in LaTeX's booktabs; bold only where the corrected test says so."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ...analysis import Analysis, Comparison, Published
from ...config.suite import BASE
from ...stats import LEVEL, t_reach
from .suite import arm_remarks, looks_words
from .table import NONE, Column, Spread, Table, text_column
from .text import between, changes, counts, differences, p_values, scores

_ESCAPES = str.maketrans(
    {
        # Behind the end of a row a bracket would be its height.
        "[": "{[}",
        "`": r"\textasciigrave{}",
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "²": r"\textsuperscript{2}",
        "±": r"$\pm$",
        "×": r"$\times$",
        "−": r"$-$",
        "<": r"$<$",
        ">": r"$>$",
        "γ": r"$\gamma$",
        "α": r"$\alpha$",
        "–": r"\textendash{}",
    }
)


def escaped(text: str) -> str:
    """Return plain text as LaTeX shows it, on one line."""
    if text == NONE:
        return "--"
    # Two hyphens in a row would become a dash.
    text = re.sub("-(?=-)", "-\0", " ".join(text.split()))
    text = text.translate(_ESCAPES).replace("\0", "{}")
    # A hyphen before a number is a minus.
    return re.sub(r"(?<![\w])-(?=\d)", "$-$", text)


def latex_table(
    table: Table, caption: str, label: str, bold: Collection[tuple[int, str]] = ()
) -> str:
    r"""Return a table as a ``table`` of booktabs.

    Args:
        table: The table.
        caption: Plain text.
        label: As in ``\ref``.
        bold: Cells to set in bold, as (row, key of the column).
    """
    if not table.columns:
        table = Table((text_column("nothing", "(nothing to show)"),))
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{escaped(caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{''.join(column.align[0] for column in table.columns)}}}",
        r"\toprule",
        _line([escaped(title) for title in table.titles]),
        r"\midrule",
    ]
    for place, texts in enumerate(table.cells):
        cells = [
            rf"\textbf{{{escaped(text)}}}" if (place, column.key) in bold else escaped(text)
            for column, text in zip(table.columns, texts, strict=True)
        ]
        lines.append(_line(cells))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def arms_table(analysis: Analysis, published: Mapping[tuple[str, str], Published]) -> str:
    """Return the arms: mean test score ± the half width of its 95 % t interval over seeds.

    An arm is in bold where it scores higher than the base by a comparison that was named before
    the run, corrected over its family; nothing is where the suite is not known to be
    trained enough.
    """
    metric = analysis.suite.metric
    with_published = any(name == metric for _, name in published)
    columns = (
        text_column("arm"),
        text_column("changes"),
        scores("score", f"test {analysis.suite.shown_metric}", metric),
        Column("seeds", "seeds"),
        counts("compressed"),
        *([Column("published", "published")] if with_published else []),
    )
    rows = []
    for arm in analysis.arms:
        number = published.get((arm.name, metric))
        rows.append(
            {
                "arm": arm.name,
                "changes": "; ".join([changes(arm.changes), *arm_remarks(analysis, arm)]),
                "score": mean_and_reach(list(arm.scores.values())),
                "seeds": len(arm.scores),
                "compressed": arm.counts.get("compressed_adapter"),
                "published": number.value if number else None,
            }
        )
    better = _better(analysis)
    bold = {(place, "score") for place, row in enumerate(rows) if row["arm"] in better}
    caption = (
        f"{_titled(analysis)}: mean over seeds ± half width of its 95 % t interval. Bold: higher "
        f"than {BASE} by the paired t test, Holm-corrected over {analysis.tests} "
        f"comparisons at {LEVEL}{looks_words(analysis)}. Compressed: parameters of the plain "
        "LoRA that would be served."
    )
    return latex_table(Table(columns, tuple(rows)), caption, _label(analysis, "arms"), bold)


def effects_table(analysis: Analysis) -> str:
    """Return the named comparisons and contrasts, bold where the corrected test rejects."""
    metric = analysis.suite.metric
    columns = (
        text_column("comparison"),
        differences("difference", "difference", metric),
        differences("interval", "95 % interval", metric),
        p_values("p"),
        p_values("p_holm", "p (Holm)"),
        p_values("p_holm_new_sentences", "p (new sentences, Holm)"),
        Column("seeds", "n"),
    )
    rows = [
        {
            "comparison": item.name,
            "difference": item.paired.estimate,
            "interval": between(item.paired.low, item.paired.high),
            "p": item.paired.p,
            "p_holm": item.paired_holm,
            "p_holm_new_sentences": item.crossed_holm,
            "seeds": item.paired.n,
        }
        for item in analysis.family
    ]
    bold = {
        (place, "difference")
        for place, item in enumerate(analysis.family)
        if _stands(analysis, item)
    }
    caption = (
        f"{_titled(analysis)}: differences over new seeds on this test set, paired by seed. Bold: "
        f"Holm-corrected paired t test at {LEVEL} over the {analysis.tests} comparisons named "
        f"before the run{looks_words(analysis)}. New sentences: seeds and test sentences both "
        "taken as samples."
    )
    return latex_table(Table(columns, tuple(rows)), caption, _label(analysis, "effects"), bold)


def mean_and_reach(found: Sequence[float]) -> Spread | None:
    """Return a mean and the half width of its 95 % t interval; with one seed the mean alone."""
    if not found:
        return None
    values = np.asarray(found, dtype=float)
    around = float(t_reach(values, LEVEL)) if len(values) > 1 else None
    return Spread(float(values.mean()), around)


def _better(analysis: Analysis) -> set[str]:
    """Arms that beat the base by test."""
    return {
        item.arm
        for item in analysis.family
        if item.reference == BASE
        and item.arm
        and (item.paired.estimate or 0.0) > 0
        and _stands(analysis, item)
    }


def _stands(analysis: Analysis, item: Comparison) -> bool:
    low, high = item.paired.low, item.paired.high
    if not analysis.gives_verdicts or low is None or high is None:
        return False
    return item.differs and not low <= 0 <= high


def _titled(analysis: Analysis) -> str:
    suite = analysis.suite
    return f"Suite {suite.name}{f', {suite.task}' if suite.task else ''}"


def _label(analysis: Analysis, table: str) -> str:
    suite = analysis.suite
    return "tab:" + "-".join(part for part in (suite.name, suite.task, table) if part)
