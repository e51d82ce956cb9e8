"""How far a study or a suite has come, and whether somebody runs it."""

from __future__ import annotations

from pathlib import Path

from ..config import read_yaml
from ..config.space import begun_references, reference_records
from ..search import stored_trials
from ..store import SPACE_FILE, Progress, progress_of


def study_progress(folder: Path) -> Progress:
    """Return how far a study has come.

    Raises:
        ConfigError: Its ``space.yaml`` is broken.
    """
    plan = read_yaml(folder / SPACE_FILE).data
    trials = stored_trials(folder, folder.name)
    done = sum(trial.state.is_finished() for trial in trials)
    beside = reference_records(folder)
    # Whatever stops a driver early leaves a trial under way, except before the first one.
    whole = 0 < done == len(trials) and all(item.status != "running" for item in beside.values())
    # A resume makes those anew whose record is damaged.
    whole &= len(beside) == len(begun_references(folder))
    total = plan.get("trials")
    enough = total is None or plan.get("hours") is not None or done >= total
    return progress_of(folder, "trials", done, total, whole and enough)
