"""``runs compare``: two results side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...experiments import Compared, compare_named
from ..console.rows import duration, number, plain, print_json, print_rows
from ..console.say import say as complain

if TYPE_CHECKING:
    from ...analysis import Examples, Versus
    from ...stats import TestResult

_DURATION = "seconds"


def run_compare(first: str, second: str, storage: Path | None, as_json: bool) -> None:
    """Print two results side by side.

    Raises:
        UserError: There is no such result, or none of its runs is complete.
    """
    compared = compare_named(first, second, storage)
    if as_json:
        print_json(compared)
        return
    print(f"A: {compared.first}\nB: {compared.second}")
    if "" in compared.by_arm:
        _print_versus(compared.by_arm[""])
    else:
        _print_arms(compared)
    for name, only in (("A", compared.only_first), ("B", compared.only_second)):
        if only:
            print(f"\nOnly in {name}: {', '.join(only)}")


def _print_arms(compared: Compared) -> None:
    """Print a row per arm and split, then the settings in which the first arm differs."""
    rows = [
        {"arm": arm, **row} for arm, versus in compared.by_arm.items() for row in _scores(versus)
    ]
    print()
    print_rows(rows)
    arm, first = next(iter(compared.by_arm.items()))
    _print_settings(first, f"Settings in which {arm} differs")
    _print_made(first)
    print(f"\nFor more of an arm: runs compare {compared.first}/{arm} {compared.second}/{arm}")


def _print_versus(versus: Versus) -> None:
    _print_settings(versus, "Settings that differ")
    _print_pairs("Planned otherwise", versus.plan)
    _print_made(versus)
    print()
    print_rows(_scores(versus))
    for note in dict.fromkeys(_notes(versus)):
        print(f"({note})")
    print()
    print_rows(
        [
            {
                "": item.name,
                "A": _amount(item.name, item.first),
                "B": _amount(item.name, item.second),
            }
            for item in versus.quantities
        ]
    )
    _print_examples(versus.examples)


def _print_settings(versus: Versus, title: str) -> None:
    if versus.settings:
        _print_pairs(title, versus.settings)
    else:
        print("\nNo setting differs.")


def _print_pairs(title: str, pairs: Sequence[Any]) -> None:
    if pairs:
        print(f"\n{title}:\n")
        # A table's head shows a dotted name's last part alone; a cell shows all of it.
        print_rows(
            [{"setting": p.name, "A": _value(p.first), "B": _value(p.second)} for p in pairs]
        )


def _value(value: object) -> str:
    return "-" if value is None else plain(value)


def _print_made(versus: Versus) -> None:
    for line in versus.circumstances:
        complain(f"made differently: {line}")


def _scores(versus: Versus) -> list[Mapping[str, str]]:
    return [
        {
            "score": f"{pair.metric}, {pair.split}",
            "A": _level(pair.first),
            "B": _level(pair.second),
            "A − B": _level(pair.difference, signed=True),
        }
        for pair in versus.scores
    ]


def _level(result: TestResult | None, *, signed: bool = False) -> str:
    if result is None or result.estimate is None:
        return "-"
    estimate = f"{result.estimate:+z.4f}" if signed else number(result.estimate)
    if result.low is None or result.high is None:
        return estimate
    ends = (f"{end:+z.4f}" if signed else number(end) for end in (result.low, result.high))
    return f"{estimate} [{', '.join(ends)}]"


def _notes(versus: Versus) -> list[str]:
    methods = {
        "t": "intervals: 95 %, Student's t over the seeds",
        "BCa": "intervals: 95 %, bootstrap (BCa) over the seeds",
    }
    found = [
        result
        for pair in versus.scores
        for result in (pair.first, pair.second, pair.difference)
        if result is not None
    ]
    lines = [
        methods.get(result.method, f"intervals: 95 %, {result.method}")
        for result in found
        if result.low is not None
    ]
    if any("examples" in line for line in lines):
        lines.append("one seed: another seed may well change the sign of A − B")
    return lines + [result.note for result in found if result.note]


def _amount(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return duration(value) if name == _DURATION else f"{value:,.0f}"


def _print_examples(examples: Examples) -> None:
    if examples.note:
        print(f"\nTest examples: {examples.note}.")
        return
    if examples.both is not None:
        counts = (examples.both, examples.first, examples.second, examples.neither)
        both, first, second, neither = (f"{count or 0:,.4g}" for count in counts)
        print(f"\nTest examples right: both {both}, A alone {first}, B alone {second}, ", end="")
        print(f"neither {neither}.")
    if not examples.shown:
        return
    print()
    print_rows(
        [
            {
                "example": str(item.example),
                "label": _label(item.label, examples.classes),
                "A": _rightness(item.ours, item.seeds, examples.classes),
                "B": _rightness(item.theirs, item.seeds, examples.classes),
                "text": examples.texts.get(item.example, ""),
            }
            for item in examples.shown
        ]
    )


def _label(label: float, classes: Sequence[str]) -> str:
    return classes[int(label)] if classes else f"{label:.3g}"


def _rightness(value: float, seeds: int, classes: Sequence[str]) -> str:
    if not classes:
        return f"off by {-value:.3g}"
    if seeds == 1:
        return "right" if value else "wrong"
    return f"right {value:.0f} of {seeds}"
