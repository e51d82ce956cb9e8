"""What fresh seeds say of a study's winner, in sentences."""

from __future__ import annotations

from ...analysis import Confirmation, FreshRuns, on_new_sentences
from ...config.space import fresh_name, seed_span
from ...stats import rejects
from ..tables.text import interval, level, listed, p_words, signed


def winner_lines(found: Confirmation, shown: str) -> list[str]:
    """Say how the winner was chosen, how far selection had flattered it, and what is not sure.

    Args:
        found: What fresh seeds say.
        shown: The metric for people.
    """
    lines = [_chosen_by(found, shown)]
    if found.trial is not None:
        lines += [_optimism(found), _runner_up(found)]
        lines += _against(found)
    return [line for line in [*lines, *_failures(found)] if line]


def fresh_caveats(found: Confirmation) -> list[str]:
    """Return what must be stated beside a winner that fresh seeds confirm; empty when all is well.

    Of each baseline that it does not beat: that it does not, or that the test does not show it.
    """
    lines = []
    for item in found.baselines:
        gap = item.gap.estimate
        where = f"{item.name} on the test split, on average over fresh seeds"
        if gap is not None and gap <= 0:
            lines.append(f"The winner is no better than {where}.")
        elif gap is not None and not (rejects(item.p)):
            lines.append(f"The winner is not shown to be better than {where}.")
    return lines


def _chosen_by(found: Confirmation, shown: str) -> str:
    numbers = [str(item.trial) for item in found.candidates]
    if not numbers:
        return "No trial may win, so nothing runs on fresh seeds."
    choice, report = seed_span(found.seeds.choice), seed_span(found.seeds.report)
    among = f"trials {listed(numbers)} run again on {choice}"
    if found.note:
        return f"There is no winner: {among}, and {found.note}."
    if found.trial is None:
        return f"The winner is not chosen yet: {among}."
    first = (
        f"Trial {found.trial} was chosen among trials {listed(numbers)} by mean validation "
        f"{shown} on {choice}."
        if len(numbers) > 1
        else f"Trial {found.trial} was the only candidate."
    )
    done = "" if found.is_complete else " (not all of them have ended)"
    return f"{first} Its scores are means over {report}{done}, on which nothing was chosen."


def _optimism(found: Confirmation) -> str:
    gap, chosen, reported = found.optimism, found.chosen, found.reported
    if gap is None or gap.estimate is None or chosen is None or reported is None:
        return ""
    mean = reported.validation.estimate
    sure = f"95 %: {interval(gap.low, gap.high, found.metric)}" if gap.low is not None else gap.note
    flattered = (
        f"Selection had flattered it by {signed(gap.estimate, found.metric)}"
        if gap.estimate > 0
        else f"Selection had not flattered it: {signed(gap.estimate, found.metric)}"
    )
    return (
        f"{flattered} ({sure}): validation {level(chosen.score, found.metric)} in the search, "
        f"{level(mean, found.metric)} on fresh seeds."
    )


def _runner_up(found: Confirmation) -> str:
    second = found.runner_up
    if second is None:
        return ""
    gap = signed(second.gap.estimate, found.metric)
    ahead = f"The winner is {gap} from the runner-up, trial {second.trial}, on the same seeds"
    if second.p is None:
        return f"{ahead}: {second.gap.note}."
    over = f", Holm over {second.pairs} pairs" if second.pairs > 1 else ""
    verdict = "told apart" if second.is_told_apart else "not told apart"
    return f"{ahead}: {verdict} ({p_words(second.p)}, paired t test{over})."


def _against(found: Confirmation) -> list[str]:
    lines = []
    for item, (wider, p) in zip(found.baselines, on_new_sentences(found), strict=True):
        gap = item.gap
        said = f"Winner − {item.name}, test: "
        if gap.estimate is None or gap.low is None:
            value = f"{signed(gap.estimate, found.metric)}, " if gap.estimate is not None else ""
            lines.append(f"{said}{value}{gap.note}.")
            continue
        over = f", Holm over {len(found.baselines)}" if len(found.baselines) > 1 else ""
        lines.append(
            f"{said}{signed(gap.estimate, found.metric)} "
            f"(95 %: {interval(gap.low, gap.high, found.metric)}; {p_words(item.p)}, "
            f"paired t test over {gap.n} seeds{over})"
            + (
                f"; over new sentences too: {interval(wider.low, wider.high, found.metric)}, "
                f"{p_words(p)}."
                if wider.low is not None
                else "."
            )
        )
    return lines


def _failures(found: Confirmation) -> list[str]:
    runs: list[tuple[str | int, FreshRuns]] = [(c.trial, c.fresh) for c in found.candidates]
    runs += [(found.trial, found.reported)] if found.trial is not None and found.reported else []
    runs += [(item.name, item.fresh) for item in found.baselines]
    return [
        f"{fresh_name(name, seed).capitalize()}, failed and does not count: {_first_line(reason)}"
        for name, fresh in runs
        for seed, reason in fresh.failed.items()
    ]


def _first_line(reason: str) -> str:
    return reason.partition("\n")[0]
