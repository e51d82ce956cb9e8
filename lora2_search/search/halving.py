"""The rungs above the first one: the best of a rung begin anew at the next, until whole runs.

Synchronous: a rung begins when the one below it is over. That is the simpler way, and the fair one:
who goes on depends on scores alone, never on which trial ended first, so a resume and another
number of workers choose the same. It keeps workers busy but for the end of a rung, where they wait
for the last run of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..analysis import Climb, climb, read_rung_runs
from ..config import RunInfo
from ..config.space import Space, Value, rung_key, rung_name
from ..store import RUNGS_FOLDER
from .trial import RunAll, StudyTrial, outcomes_in


def climb_of(
    space: Space, folder: Path, trials: Sequence[StudyTrial], *, is_over: bool = False
) -> Climb | None:
    """Return how a study's trials climbed its rungs; ``None`` where it has none."""
    if space.scheduler.name != "halving":
        return None
    return climb(space, outcomes_in(trials), read_rung_runs(folder), is_over=is_over)


def run_rungs(
    space: Space,
    folder: Path,
    trials: Sequence[StudyTrial],
    run_all: RunAll,
    say: Callable[[str], None],
) -> bool:
    """Run what is left of the rungs above the first.

    What is complete is handed over too, for whoever listens: nothing of it runs again.

    Args:
        space: Its scheduler says how many rungs.
        folder: The study's folder.
        trials: All trials of the search, which is over.
        run_all: Runs what it is given; returns whether that was interrupted.
        say: Takes a line for people.

    Returns:
        Whether it was interrupted.
    """
    settings = {trial.number: dict(trial.params) for trial in trials}
    for number in range(2, space.scheduler.rungs + 1):
        found = climb_of(space, folder, trials, is_over=True)
        assert found is not None
        if len(found.rungs) < number:
            return False  # runs of the rung below are still open: their process could not end them
        below, rung = found.rungs[number - 2 : number]
        if not below.went_on:
            return False
        numbers = ", ".join(map(str, sorted(below.went_on)))
        length = "whole runs" if rung.share == 1 else f"{rung.share} of a run"
        say(f"rung {number} of {found.total}, {length}: trials {numbers} begin anew")
        runs = [_run(space, folder, trial, settings[trial], number) for trial in below.went_on]
        if run_all(runs):
            return True
    return False


def _run(
    space: Space, folder: Path, trial: int, settings: dict[str, Value], number: int
) -> RunInfo:
    key = rung_key(trial, number)
    return RunInfo(
        key=key,
        name=rung_name(key),
        config=space.rung_config(settings, number),
        settings=settings,
        folder=folder / RUNGS_FOLDER / key,
        role="rung",
        metric=space.objective.metric,
        outcomes=space.outcomes,
    )
