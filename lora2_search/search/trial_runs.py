"""Where the runs of a trial lie: its first seed's in ``trials/``, those on others in ``seeds/``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..config.space import fresh_key
from ..store import SEEDS_FOLDER, TRIALS_FOLDER, RunRecord, readable_record


def trial_key(number: int) -> str:
    """Return the name of a trial's folder, its key for observers too."""
    return f"{number:05d}"


def trial_runs(folder: Path, number: int, seeds: Sequence[int]) -> list[tuple[RunRecord, Path]]:
    """Return the records and folders of a trial's runs, in the order of seeds.

    Args:
        folder: The study's folder.
        number: The trial's.
        seeds: Those of the study's trials; of a run without a record nothing is returned.
    """
    others = (folder / SEEDS_FOLDER / fresh_key(number, seed) for seed in seeds[1:])
    folders = [folder / TRIALS_FOLDER / trial_key(number), *others]
    read = ((readable_record(path), path) for path in folders)
    return [(record, path) for record, path in read if record is not None]
