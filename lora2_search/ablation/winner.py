"""The suite that tells what each change on the way to a study's winner was worth."""

from __future__ import annotations

from pathlib import Path

from ..config import Source
from ..config.suite import path_suite
from ..errors import UserError
from ..search import load_study

SEEDS = 10


def path_to_winner(name: str, storage: Path | None = None) -> Source:
    """Return the ablation path to the winner of a study, as a suite's file would hold it.

    Its seeds begin after the study's own, on which the winner was chosen.

    Args:
        name: The study's.
        storage: Where ``studies/`` is; by default the home.

    Raises:
        UserError: There is no study of that name, or none of its trials was completed.
    """
    study = load_study(name, storage)
    if study.best is None:
        raise UserError(f"the study {name} has no winner: none of its trials was completed")
    winner = study.space.run_config(dict(study.best.params))
    data = path_suite(study.space, winner, name=f"{name}-path", seeds=SEEDS)
    fresh = study.space.fresh_seeds
    data["seed"] = (fresh.report[-1] if fresh else study.space.seed) + 1
    return Source(data, name=f"the path to the winner of {name}")
