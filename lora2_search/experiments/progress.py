"""Progress of a study or a suite, and whether a process is running it."""

from __future__ import annotations

from pathlib import Path

from ..config import read_yaml
from ..config.space import SPACE_FILE, begun_references, reference_records
from ..search import stored_trials
from ..store import Progress, progress_of


def study_progress(folder: Path) -> Progress:
    """Return a study's progress.

    Raises:
        ConfigError: Its ``space.yaml`` is broken.
    """
    plan = read_yaml(folder / SPACE_FILE).data
    trials = stored_trials(folder, folder.name)
    done = sum(trial.state.is_finished() for trial in trials)
    beside = reference_records(folder)
    # Whatever stops a driver early leaves a trial under way, except before the first one.
    whole = 0 < done == len(trials) and all(item.status != "running" for item in beside.values())
    # A resume trains those with a damaged record again.
    whole &= len(beside) == len(begun_references(folder))
    total = plan.get("trials")
    enough = total is None or plan.get("hours") is not None or done >= total
    return progress_of(folder, "trials", done, total, whole and enough)
