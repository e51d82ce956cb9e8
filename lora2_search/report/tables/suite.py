"""A suite's numbers as rows of text: one column order for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...analysis import Analysis, Arm, Comparison, flag_counts
from ...stats import expected_best, rejects
from .text import NONE, Row, changes, count, in_points, interval, level, p_value, signed

if TYPE_CHECKING:
    from ...analysis import Published, Tuning

_TRAINED, _HEAD = "trained (adapter)", "trained (head)"


def suite_tables(analyses: Mapping[str, Analysis]) -> dict[str, list[Row]]:
    """Return the tables of a suite, analysed by task: ``arms``, ``seeds`` and ``sentences``.

    Those of a suite of several tasks are named ``boolq: arms`` and so on.
    """
    tables = {}
    for task, analysis in analyses.items():
        prefix = f"{task}: " if task else ""
        tables[f"{prefix}arms"] = arm_rows(analysis)
        tables[f"{prefix}seeds"] = seed_rows(analysis)
        tables[f"{prefix}sentences"] = sentence_rows(analysis)
    return tables


def arm_rows(
    analysis: Analysis, published: Mapping[tuple[str, str], Published] | None = None
) -> list[Row]:
    """Return one row an arm: score, runs that count, parameters, seconds, health flags.

    Args:
        analysis: The suite's numbers.
        published: Numbers of others, by (arm, metric): a column of their own where there are any.
    """
    metric, planned = analysis.suite.metric, len(analysis.suite.seeds)
    published_numbers = {
        arm: number for (arm, name), number in (published or {}).items() if name == metric
    }
    return [
        {
            "arm": arm.name,
            "changes": changes(arm.changes),
            f"test {analysis.suite.shown_metric}": _mean_and_sd(arm, metric),
            **(
                {"published": _published(published_numbers.get(arm.name))}
                if published_numbers
                else {}
            ),
            "runs": _runs(arm, planned),
            _TRAINED: count(arm.counts.get("trained_adapter")),
            _HEAD: count(arm.counts.get("trained_head")),
            "kept": count(arm.counts.get("kept_adapter")),
            "compressed": count(arm.counts.get("compressed_adapter")),
            "s a run": NONE if arm.seconds is None else f"{arm.seconds:.0f}",
            "flags": flag_counts(arm.records) or NONE,
            **_remarks({a.name: arm_remarks(analysis, a) for a in analysis.arms}, arm.name),
        }
        for arm in analysis.arms
    ]


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


def _no_better(arms: Sequence[str]) -> str:
    verb = "does" if len(arms) == 1 else "do"
    return f"{' and '.join(arms)} {verb} no better than the constant answer"


def _remarks(remarks: Mapping[str, Sequence[str]], name: str) -> Row:
    """Return the column of remarks, only where there are any."""
    return {"remarks": "; ".join(remarks[name]) or NONE} if any(remarks.values()) else {}


def seed_rows(analysis: Analysis, items: Sequence[Comparison] | None = None) -> list[Row]:
    """Return the paired differences over seeds, on this test set.

    Args:
        analysis: The suite's numbers.
        items: What to show; by default the family, and the floor check last.
    """
    metric, items = analysis.suite.metric, _all(analysis) if items is None else items
    remarks = {item.name: comparison_remarks(analysis, item) for item in items}
    rows = []
    for item in items:
        test, named = item.paired, item in analysis.family
        rows.append(
            {
                "comparison": item.name,
                "difference": signed(test.estimate, metric),
                "95 % interval": interval(test.low, test.high, metric),
                "p (paired t)": p_value(test.p),
                "p (Holm)": p_value(item.paired_holm) if named else NONE,
                "p (sign-flip)": _sign_flip(item),
                "p (sign-flip, Holm)": p_value(item.sign_flip_holm) if named else NONE,
                "n": str(test.n),
                "ties": str(test.ties),
                **_remarks(remarks, item.name),
            }
        )
    return rows


def sentence_rows(analysis: Analysis) -> list[Row]:
    """Return the crossed tests, over new seeds and new sentences; the floor check is last."""
    metric, items = analysis.suite.metric, _all(analysis)
    remarks = {item.name: comparison_remarks(analysis, item) for item in items}
    rows = []
    for item in items:
        test = item.crossed
        shares = [f"{share:.0%}" for share in test.shares]
        known = any(test.shares)
        rows.append(
            {
                "comparison": item.name,
                "difference": signed(test.estimate, metric),
                "95 % interval": interval(test.low, test.high, metric),
                "p": p_value(test.p),
                "p (Holm)": p_value(item.crossed_holm) if item in analysis.family else NONE,
                "seeds × sentences": f"{test.n} × {test.examples}",
                "chance: seeds": shares[0] if known else NONE,
                "sentences": shares[1] if known else NONE,
                "both": shares[2] if known else NONE,
                **_remarks(remarks, item.name),
            }
        )
    return rows


def equality_rows(analysis: Analysis) -> list[Row]:
    """Return the claims of equality that were named before the run, tested.

    No verdict where the suite is not known to be trained enough: untrained, all arms look alike.
    """
    metric = analysis.suite.metric
    rows = []
    for item in analysis.equivalence:
        same_set, new = item.on_this_set, item.on_new_sentences
        tested = analysis.gives_verdicts and not item.unlearnt
        why = (
            _no_better(item.unlearnt)
            if analysis.gives_verdicts
            else "not shown to be trained enough"
        )
        rows.append(
            {
                "claim": f"{item.claim.arm} equals {item.claim.reference}",
                "margin": f"± {signed(item.claim.margin, metric).removeprefix('+')}",
                "difference": signed(item.paired.estimate, metric),
                "90 % interval": interval(same_set.low, same_set.high, metric),
                "p (Holm)": p_value(item.on_this_set_holm) if tested else NONE,
                "on this test set": _shown(item.on_this_set_holm) if tested else NONE,
                "p (new sentences, Holm)": p_value(item.on_new_sentences_holm) if tested else NONE,
                "on new sentences": _shown(item.on_new_sentences_holm) if tested else NONE,
                "remarks": (same_set.note or new.note or NONE) if tested else why,
            }
        )
    return rows


def tuning_rows(analysis: Analysis, tuning: Tuning) -> list[Row]:
    """Return one row a tuned arm: what was chosen, of how many, what fewer would have found."""
    metric = analysis.suite.metric
    chosen, ends = analysis.suite.plan.tuned or {}, analysis.suite.plan.open_ends
    rows = []
    for arm, scores in tuning.trial_scores(metric).items():
        best = expected_best(scores)
        rows.append(
            {
                "arm": arm,
                "chosen": changes(chosen.get(arm, {})),
                **({"open end": ", ".join(ends.get(arm, []))} if ends else {}),
                "trials": _of(len(scores), tuning.trials(arm)),
                f"best validation {metric}": level(max(scores), metric),
                "expected best of 1": level(best[0], metric),
                "expected best of half": level(best[(len(best) + 1) // 2 - 1], metric),
            }
        )
    return rows


def _of(complete: int, run: int) -> str:
    return str(run) if complete == run else f"{complete} of {run} complete"


def analyses_taken(analysis: Analysis) -> str:
    """Return that looks were taken, and at which seeds; empty for a suite without them."""
    if not analysis.looks:
        return ""
    return f", group-sequential with looks at {', '.join(map(str, analysis.looks))} seeds"


def _all(analysis: Analysis) -> list[Comparison]:
    return [*analysis.family, *([analysis.floor] if analysis.floor else [])]


def _mean_and_sd(arm: Arm, metric: str) -> str:
    if arm.sd is None:
        return level(arm.mean, metric)
    spread = f"{100 * arm.sd:.2f}" if in_points(metric) else f"{arm.sd:.4f}"
    return f"{level(arm.mean, metric).removesuffix(' %')} ± {spread}" + (
        " %" if in_points(metric) else ""
    )


def _shown(p: float | None) -> str:
    if p is None:
        return "not tested"
    return "shown" if rejects(p) else "not shown"


def _published(number: Published | None) -> str:
    if number is None:
        return NONE
    return f"{number.value} ({number.source})" if number.source else number.value


def _runs(arm: Arm, planned: int) -> str:
    parts = [f"{len(arm.scores)} of {planned}"]
    if arm.diverged:
        parts.append(f"{len(arm.diverged)} diverged")
    if arm.failed:
        parts.append(f"{len(arm.failed)} failed")
    return ", ".join(parts)


def _sign_flip(item: Comparison) -> str:
    if item.sign_flip is None:
        return f"needs {item.sign_flip_seeds} seeds"
    return p_value(item.sign_flip)
