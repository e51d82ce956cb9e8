"""The runs of a trial: its first seed's in ``trials/``, those on others in ``seeds/``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from ..config import RunConfig, RunInfo, with_settings
from ..config.space import Space, Value, fresh_key, fresh_name
from ..store import SEEDS_FOLDER, TRIALS_FOLDER, RunRecord, readable_record


def trial_key(number: int) -> str:
    """Return the name of a trial's folder, its key for observers too."""
    return f"{number:05d}"


def on_seed(
    space: Space,
    trial: int,
    run: tuple[RunConfig, Mapping[str, Value]],
    seed: int,
    place: Path,
    role: Literal["choice", "report", "seed"],
) -> RunInfo:
    """Return a trial's run on another seed than its first.

    Args:
        space: The study's.
        trial: Its number.
        run: What runs, but for the seed, and the searched settings of it.
        seed: The seed.
        place: The folder in which the run's own lies.
        role: What the run is for.
    """
    config, settings = run
    key = fresh_key(trial, seed)
    return RunInfo(
        key=key,
        name=fresh_name(trial, seed),
        config=with_settings(config, {"seed": seed}),
        settings={**settings, "seed": seed},
        folder=place / key,
        role=role,
        metric=space.objective.metric,
        outcomes=space.outcomes,
    )


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
