"""``runs compare``: two results side by side, each a study, a suite, an arm or a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..analysis import Run, Side, Versus, compare_sides, read_tasks
from ..errors import UserError
from ..search import load_study
from .catalog import Named
from .find_run import find_run, split_name


@dataclass(frozen=True)
class Compared:
    """What comparing two results came to.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        by_arm: Both side by side; of two suites by arm, else under ``""``.
        only_first: Arms that the first suite alone has.
        only_second: Arms that the second suite alone has.
    """

    first: str
    second: str
    by_arm: Mapping[str, Versus]
    only_first: tuple[str, ...] = ()
    only_second: tuple[str, ...] = ()


def compare_named(first: str, second: str, storage: Path | None = None) -> Compared:
    """Compare two results by name.

    Of a study its winner is compared, of two suites the arms that have the same name.
    ``quick/lora`` is an arm of a suite with all its seeds; for runs see `find_run`.

    Raises:
        UserError: There is no such result, none of its runs is complete, or a suite is compared
            with something that is none.
    """
    one, other = (_arms(name, storage) for name in (first, second))
    if one is not None and other is not None:
        return _suites(first, one, second, other)
    for name, arms, against in ((first, one, second), (second, other, first)):
        if arms is not None:
            raise UserError(
                f"{name} is a suite and {against} is none; name the arm to compare with it: "
                f"{name}/{next(iter(arms), 'ARM')}"
            )
    versus = compare_sides(_side(first, storage), _side(second, storage))
    return Compared(versus.first, versus.second, {"": versus})


def _suites(
    first: str, one: Mapping[str, Side], second: str, other: Mapping[str, Side]
) -> Compared:
    common = [arm for arm in one if arm in other]
    if not common:
        raise UserError(
            f"{first} and {second} have no arm in common with a complete run; name two arms: "
            f"{first}/{next(iter(one), 'ARM')} {second}/{next(iter(other), 'ARM')}"
        )
    return Compared(
        first,
        second,
        {arm: compare_sides(one[arm], other[arm]) for arm in common},
        tuple(arm for arm in one if arm not in other),
        tuple(arm for arm in other if arm not in one),
    )


def _arms(name: str, storage: Path | None) -> dict[str, Side] | None:
    """Return the arms of a suite by name, ``None`` where the name is no suite's."""
    if Path(name).expanduser().is_dir():
        return None
    item, inside = split_name(name, storage)
    return _arms_of(item) if item.kind == "suite" and not inside else None


def _arms_of(item: Named) -> dict[str, Side]:
    """Return the arms that have a complete run, those of several tasks as ``task.arm``."""
    sides: dict[str, Side] = {}
    for task, suite in read_tasks(item.folder).items():
        for arm in suite.arms:
            runs: dict[int, Run] = {
                seed: run
                for (name, seed), run in suite.runs.items()
                if name == arm and run.record.status == "completed"
            }
            if runs:
                called = f"{task}.{arm}" if task else arm
                sides[called] = Side(f"{item.name}/{called}", runs, suite.metric)
    return sides


def _side(name: str, storage: Path | None) -> Side:
    if not Path(name).expanduser().is_dir():
        item, inside = split_name(name, storage)
        if item.kind == "study" and not inside:
            return load_study(item.name, storage).side()
        if item.kind == "suite" and inside in (arms := _arms_of(item)):
            return arms[inside]
    run = find_run(name, storage)
    run.check_complete()
    return Side(run.what, {int(run.record.config["seed"]): Run(run.folder, run.record)}, run.metric)
