"""A study's figures from its Optuna storage, drawn by Optuna, or the reason why there are none."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..database import sqlite_url
from ..errors import UserError
from ..stored import reading_database

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial
    from plotly.graph_objects import Figure

STUDY_FILE = "study.db"
_EARLY_TO_LATE = [[0, "#7fa6d6"], [1, "#d9762b"]]
_FEWEST_FOR_IMPORTANCE = 4


@dataclass(frozen=True)
class Panel:
    """One figure of a page.

    Attributes:
        title: Heading.
        text: What it shows, or why there is none.
        figure: The drawing, ``None`` when there is none.
    """

    title: str
    text: str
    figure: Figure | None = None


def open_study(folder: Path, name: str) -> Study:
    """Open a study's Optuna storage to read it, running or not.

    Raises:
        UserError: The folder has no storage, or it does not hold the study.
    """
    import optuna

    path = folder / STUDY_FILE
    if not path.exists():
        raise UserError(f"the study {name} has no {STUDY_FILE} in {folder}: it never began")
    with _quiet(), reading_database(path, "restore it from a copy"):
        try:
            study = optuna.load_study(study_name=name, storage=sqlite_url(path))
            study.get_trials(deepcopy=False)  # what is damaged shows when it is read
            return study
        except KeyError:
            raise UserError(f"{path} holds no study named {name}") from None


def complete_trials(study: Study) -> list[FrozenTrial]:
    """Return the trials that ran to their end and have a score, by number."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial for trial in trials if trial.value is not None]


def best_trial(study: Study) -> FrozenTrial | None:
    """Return the complete trial with the highest score, the earliest of equals."""
    return max(complete_trials(study), key=lambda trial: trial.value or 0.0, default=None)


def history_panel(study: Study, metric: str) -> Panel:
    """Show the score of each complete trial and the best so far."""
    import optuna

    title = "History"
    if not complete_trials(study):
        return Panel(title, "No trial is complete yet.")
    with _quiet():
        figure = optuna.visualization.plot_optimization_history(study, target_name=metric)
    figure.update_layout(title=None)
    return Panel(title, f"Validation {metric} by trial, and the best one so far.", figure)


def searched(study: Study) -> list[str]:
    """Return the settings that at least one complete trial chose, in the order of the search."""
    names: dict[str, None] = {}
    for trial in complete_trials(study):
        names |= dict.fromkeys(trial.params)
    return list(names)


def slice_panels(study: Study, metric: str) -> list[Panel]:
    """Show the score against each searched setting, one panel a setting."""
    import optuna

    panels = []
    for name in searched(study):
        with _quiet():
            figure = optuna.visualization.plot_slice(study, params=[name], target_name=metric)
        figure.update_layout(title=None)
        # Optuna's blues end where a dark page begins.
        figure.update_traces(marker_colorscale=_EARLY_TO_LATE)
        panels.append(Panel(name, f"Validation {metric} against {name}.", figure))
    return panels or [Panel("Score against settings", "No trial is complete yet.")]


def importance_gap(study: Study) -> str | None:
    """Return why importances cannot be told, ``None`` when they can."""
    trials = complete_trials(study)
    shared = set.intersection(*(set(trial.params) for trial in trials)) if trials else set()
    varied = [name for name in shared if len({trial.params[name] for trial in trials}) > 1]
    if len(trials) < _FEWEST_FOR_IMPORTANCE:
        return (
            f"Importances need at least {_FEWEST_FOR_IMPORTANCE} complete trials; "
            f"there {'is' if len(trials) == 1 else 'are'} {len(trials)}."
        )
    if len(varied) < 2:
        return (
            "Importances compare settings with one another, and fewer than two settings vary over "
            f"all complete trials ({', '.join(varied) or 'none'})."
        )
    if len({trial.value for trial in trials}) < 2:
        return "All complete trials score the same: no setting can be told to matter."
    return None


def importance_panel(study: Study, metric: str) -> Panel:
    """Show how much of the variation of the score each setting explains (fANOVA)."""
    import optuna

    title = "Importances"
    gap = importance_gap(study)
    if gap is not None:
        return Panel(title, gap)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    with _quiet():
        figure = optuna.visualization.plot_param_importances(
            study, evaluator=evaluator, target_name=metric
        )
    figure.update_layout(title=None, height=110 + 45 * len(figure.data[0].y))
    count = len(complete_trials(study))
    text = (
        f"Share of the variation of validation {metric} that each setting explains (fANOVA, over "
        f"{count} complete trials; settings that not every trial has are left out)."
    )
    if count < 20:
        text += " With so few trials, read the order as a hint."
    return Panel(title, text, figure)


@contextmanager
def _quiet() -> Iterator[None]:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
