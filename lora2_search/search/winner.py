"""What runs after a search to confirm its winner: the best few on fresh seeds, then one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from ..analysis import Confirmation, confirmation, electable, read_fresh_runs
from ..config import RunInfo, with_settings
from ..config.space import (
    UNTESTED,
    Space,
    Value,
    fresh_key,
    fresh_name,
    reference_settings,
    seed_span,
)
from ..store import WINNER_FOLDER
from .halving import climb_of
from .trial import RunAll, StudyTrial, outcomes_in
from .trial_runs import on_seed


def winner_of(space: Space, folder: Path, trials: Sequence[StudyTrial]) -> Confirmation | None:
    """Return what fresh seeds say of a study's winner; ``None`` where they are not asked."""
    if space.winner is None:
        return None
    settings = {trial.number: trial.params for trial in trials}
    climbed = climb_of(space, folder, trials)
    outcomes = electable(outcomes_in(trials), climbed, space)
    return confirmation(space, outcomes, settings, read_fresh_runs(folder))


def confirm_winner(
    space: Space,
    folder: Path,
    trials: Sequence[StudyTrial],
    run_all: RunAll,
    say: Callable[[str], None],
) -> bool:
    """Run what is left to choose a winner, and then to report on it.

    What is complete is handed over too, for whoever listens: nothing of it runs again.

    Args:
        space: Says how many settings, and which seeds.
        folder: The study's folder.
        trials: All trials of the search, which is over.
        run_all: Runs what it is given; returns whether that was interrupted.
        say: Takes a line for people.

    Returns:
        Whether it was interrupted.
    """
    found = winner_of(space, folder, trials)
    assert found is not None
    if choosing := choice_runs(space, found, folder):
        say(_choosing(found))
        if run_all(choosing):
            return True
        found = winner_of(space, folder, trials)
        assert found is not None
    if found.chosen is None:
        if found.note:
            say(f"winner: {found.note}, so there is none")
        return False
    say(_reporting(found, space))
    return run_all(report_runs(space, found, folder))


def choice_runs(space: Space, found: Confirmation, folder: Path) -> list[RunInfo]:
    """Return the runs on which one candidate is chosen, seed by seed; none for a single one."""
    if len(found.candidates) < 2:
        return []
    return [
        _of_trial(space, item.trial, item.settings, seed, folder, "choice")
        for seed in found.seeds.choice
        for item in found.candidates
    ]


def report_runs(space: Space, found: Confirmation, folder: Path) -> list[RunInfo]:
    """Return the runs whose scores are reported, of the winner and of the baselines."""
    winner, runs = found.chosen, list[RunInfo]()
    assert winner is not None
    for seed in found.seeds.report:
        runs.append(_of_trial(space, winner.trial, winner.settings, seed, folder, "report"))
        runs += [_of_baseline(space, name, seed, folder) for name in space.outside]
    return runs


def _of_trial(
    space: Space,
    trial: int,
    settings: Mapping[str, Value],
    seed: int,
    folder: Path,
    role: Literal["choice", "report"],
) -> RunInfo:
    config = space.run_config(settings)
    if role == "choice":
        config = with_settings(config, dict(UNTESTED))
    return on_seed(space, trial, (config, settings), seed, folder / WINNER_FOLDER, role)


def _of_baseline(space: Space, name: str, seed: int, folder: Path) -> RunInfo:
    settings = {**reference_settings(space, name), "seed": seed}
    key = fresh_key(name, seed)
    return RunInfo(
        key=key,
        name=fresh_name(name, seed),
        config=with_settings(space.run_config(), settings),
        settings=settings,
        folder=folder / WINNER_FOLDER / key,
        is_reference=True,
        role="report",
        metric=space.objective.metric,
    )


def _choosing(found: Confirmation) -> str:
    numbers = ", ".join(str(item.trial) for item in found.candidates)
    seeds = seed_span(found.seeds.choice)
    return f"winner: trials {numbers} run again on {seeds}; the best mean is chosen"


def _reporting(found: Confirmation, space: Space) -> str:
    beside = f" with {' and '.join(space.outside)}" if space.outside else ""
    seeds = seed_span(found.seeds.report)
    return f"winner: trial {found.trial} runs{beside} on {seeds}, which alone are reported"
