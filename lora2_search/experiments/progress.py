"""Progress of a study or a suite, and whether a process is running it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..config.space import Space, reference_records, started_references
from ..search import StudyTrial, climb_of, read_trials, winner_of
from ..store import Progress, progress_of

_FINISHED = ("COMPLETE", "PRUNED", "FAIL")


def study_progress(
    folder: Path, trials: Sequence[StudyTrial] | None = None, space: Space | None = None
) -> Progress:
    """Return a study's progress.

    Args:
        folder: The study's folder.
        trials: Its trials, where they have been read already.
        space: Its ``space.yaml``, where that has been.

    Raises:
        UserError: Its ``space.yaml`` is missing or broken.
    """
    from ..analysis import read_plan

    space = space or read_plan(folder, Space)
    if trials is None:
        trials = read_trials(folder, folder.name)
    done = sum(trial.state in _FINISHED for trial in trials)
    references = reference_records(folder)
    # Whatever stops a driver early leaves a trial under way, except before the first one.
    begun = sum(trial.state != "WAITING" for trial in trials)
    ended = 0 < done == begun and all(item.status != "running" for item in references.values())
    # A resume trains those with a damaged record again.
    ended &= len(references) == len(started_references(folder))
    if ended and space.winner is not None:
        winner = winner_of(space, folder, trials)
        ended = winner is None or winner.is_complete
    if ended and space.is_halved:
        climbed = climb_of(space, folder, trials)
        ended = climbed is None or climbed.is_complete
    total = space.trials
    enough = total is None or space.hours is not None or done >= total
    return progress_of(folder, "trials", done, total, ended and enough)
