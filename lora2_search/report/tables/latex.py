"""Tables for papers, in LaTeX's booktabs; bold only where the corrected test says so."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ...analysis import Analysis, Comparison, Published
from ...config.suite import BASE
from ...stats import LEVEL, t_reach
from .suite import analyses_taken, arm_remarks
from .text import NONE, changes, count, in_points, interval, p_value, signed

_ESCAPES = str.maketrans(
    {
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
        NONE: "--",
    }
)

Cells = Mapping[str, str]


def escaped(text: str) -> str:
    """Return plain text as LaTeX shows it."""
    # A hyphen before a number is a minus.
    return re.sub(r"(?<![\w])-(?=\d)", "$-$", text.translate(_ESCAPES))


def latex_table(
    rows: Sequence[Cells], caption: str, label: str, bold: Collection[tuple[int, str]] = ()
) -> str:
    r"""Return rows of plain text as a ``table`` of booktabs.

    Args:
        rows: Text by column; the first row tells the columns, the first of them set left.
        caption: Plain text.
        label: As in ``\ref``.
        bold: Cells to set in bold, as (row, column).
    """
    names = list(rows[0]) if rows else ["(nothing to show)"]
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{escaped(caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(names) - 1)}}}",
        r"\toprule",
        " & ".join(escaped(name) for name in names) + r" \\",
        r"\midrule",
    ]
    for place, row in enumerate(rows):
        cells = [
            rf"\textbf{{{escaped(row[name])}}}" if (place, name) in bold else escaped(row[name])
            for name in names
        ]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def arms_table(analysis: Analysis, published: Mapping[tuple[str, str], Published]) -> str:
    """Return the arms: mean test score ± the half width of its 95 % t interval over seeds.

    An arm is in bold where it scores higher than the base by a comparison that was named before
    the run, corrected over its family; nothing is where the suite is not known to be
    trained enough.
    """
    metric = analysis.suite.metric
    shown = f"test {analysis.suite.shown_metric}{', %' if in_points(metric) else ''}"
    better = _better(analysis)
    with_published = any(name == metric for _, name in published)
    rows, bold = [], set()
    for place, arm in enumerate(analysis.arms):
        row = {
            "arm": arm.name,
            "changes": "; ".join([changes(arm.changes), *arm_remarks(analysis, arm)]),
            shown: mean_and_reach(list(arm.scores.values()), metric),
            "seeds": str(len(arm.scores)),
            "compressed": count(arm.counts.get("compressed_adapter")),
        }
        if with_published:
            number = published.get((arm.name, metric))
            row["published"] = number.value if number else NONE
        rows.append(row)
        if arm.name in better:
            bold.add((place, shown))
    caption = (
        f"{_titled(analysis)}: mean over seeds ± half width of its 95 % t interval. Bold: higher "
        f"than {BASE} by the paired t test, Holm-corrected over {analysis.tests} "
        f"comparisons at {LEVEL}{analyses_taken(analysis)}. Compressed: parameters of the plain "
        "LoRA that would be served."
    )
    return latex_table(rows, caption, _label(analysis, "arms"), bold)


def effects_table(analysis: Analysis) -> str:
    """Return the named comparisons and contrasts, bold where the corrected test rejects."""
    metric = analysis.suite.metric
    rows, bold = [], set()
    for place, item in enumerate(analysis.family):
        test = item.paired
        rows.append(
            {
                "comparison": item.name,
                "difference": signed(test.estimate, metric),
                "95 % interval": interval(test.low, test.high, metric),
                "p": p_value(test.p),
                "p (Holm)": p_value(item.paired_holm),
                "p (new sentences, Holm)": p_value(item.crossed_holm),
                "n": str(test.n),
            }
        )
        if _stands(analysis, item):
            bold.add((place, "difference"))
    caption = (
        f"{_titled(analysis)}: differences over new seeds on this test set, paired by seed. Bold: "
        f"Holm-corrected paired t test at {LEVEL} over the {analysis.tests} comparisons named "
        f"before the run{analyses_taken(analysis)}. New sentences: seeds and test sentences both "
        "taken as samples."
    )
    return latex_table(rows, caption, _label(analysis, "effects"), bold)


def mean_and_reach(scores: Sequence[float], metric: str) -> str:
    """Return a mean and the half width of its 95 % t interval; with one seed the mean alone."""
    if not scores:
        return NONE
    factor, digits = (100.0, 2) if in_points(metric) else (1.0, 4)
    values = factor * np.asarray(scores, dtype=float)
    mean = f"{values.mean():.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {t_reach(values, LEVEL):.{digits}f}"


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
