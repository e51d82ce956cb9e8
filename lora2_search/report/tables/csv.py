"""Numbers for other programs: every run and every comparison as CSV, nothing rounded."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from ...analysis import Analysis, Equality
from .suite import comparison_remarks

Cell = str | float | int | None

# With these a spreadsheet takes a text for a formula.
_FORMULA = ("=", "+", "-", "@")


def run_table(analyses: Mapping[str, Analysis]) -> list[dict[str, Cell]]:
    """Return one row for every planned run, those that never began among them.

    ``score`` is what the report counts: the test score, a diverged run's that of the commonest
    class, and nothing for a run that is missing or failed otherwise.
    """
    return [
        _run(analysis, arm.name, seed, arm.scores.get(seed))
        for analysis in analyses.values()
        for arm in analysis.arms
        for seed in analysis.suite.seeds
    ]


def comparison_table(analyses: Mapping[str, Analysis]) -> list[dict[str, Cell]]:
    """Return one row for every named comparison and contrast, floor check and claim of equality.

    A claim's interval is the 90 % one of its two one-sided tests.
    """
    rows: list[dict[str, Cell]] = []
    for task, analysis in analyses.items():
        named = [(item, "named") for item in analysis.family]
        floor = [(analysis.floor, "floor")] if analysis.floor else []
        for item, role in [*named, *floor]:
            seeds, both = item.paired, item.crossed
            rows.append(
                {
                    "task": task,
                    "comparison": item.name,
                    "role": role,
                    "metric": analysis.suite.metric,
                    "seeds": seeds.n,
                    "difference": seeds.estimate,
                    "low": seeds.low,
                    "high": seeds.high,
                    "p": seeds.p,
                    "p_holm": item.paired_holm if role == "named" else None,
                    "p_sign_flip": item.sign_flip,
                    "ties": seeds.ties,
                    "new_sentences_low": both.low,
                    "new_sentences_high": both.high,
                    "new_sentences_p": both.p,
                    "new_sentences_p_holm": item.crossed_holm if role == "named" else None,
                    "note": "; ".join(
                        [note for note in (seeds.note or both.note,) if note]
                        + comparison_remarks(analysis, item)
                    ),
                }
            )
        rows += [_claim(task, item, analysis.suite.metric) for item in analysis.equivalence]
    return rows


def _claim(task: str, item: Equality, metric: str) -> dict[str, Cell]:
    seeds, both = item.on_this_set, item.on_new_sentences
    return {
        "task": task,
        "comparison": item.name,
        "role": "equality",
        "metric": metric,
        "seeds": seeds.n,
        "difference": item.paired.estimate,
        "low": seeds.low,
        "high": seeds.high,
        "p": seeds.p,
        "p_holm": item.on_this_set_holm,
        "ties": item.paired.ties,
        "new_sentences_low": both.low,
        "new_sentences_high": both.high,
        "new_sentences_p": both.p,
        "new_sentences_p_holm": item.on_new_sentences_holm,
        "margin": item.claim.margin,
        "note": seeds.note or both.note,
    }


def csv_text(rows: Sequence[Mapping[str, Cell]]) -> str:
    """Return rows as CSV; the columns of all rows, in the order in which they come up.

    A text that a spreadsheet would run as a formula begins with an apostrophe; numbers stay.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: Cell) -> Cell:
    if value is None:
        return ""
    if isinstance(value, str) and value.lstrip().startswith(_FORMULA) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _run(analysis: Analysis, arm: str, seed: int, counted: float | None) -> dict[str, Cell]:
    suite = analysis.suite
    run = suite.runs.get((arm, seed))
    row: dict[str, Cell] = {"task": suite.task, "arm": arm, "seed": seed}
    row |= {f"factor.{name}": level for name, level in suite.plan.levels(arm).items()}
    if run is None:
        return row | {"status": "missing", "score": None}
    record = run.record
    status = "diverged" if run.diverged else record.status
    row |= {"status": status, "score": counted}
    row |= {name: value for name, value in sorted(record.scores.items())}
    row |= {f"parameters.{name}": value for name, value in sorted(record.counts.items())}
    row |= {f"seconds.{name}": value for name, value in sorted(record.timings.items())}
    row |= {"flags": " ".join(flag.name for flag in record.flags)}
    row |= {"reused_from": record.reused_from}
    return row | {"fingerprint": record.fingerprint, "error": record.error or ""}
