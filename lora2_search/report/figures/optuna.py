"""A study's figures from its Optuna storage, drawn by Optuna, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...analysis import complete_trials, quietly, score_of, searched
from .panel import Panel

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

_EARLY_TO_LATE = [[0, "#7fa6d6"], [1, "#d9762b"]]

_FEWEST_FOR_IMPORTANCE = 4


def _score(study: Study) -> Callable[[FrozenTrial], float] | None:
    """Return what Optuna is to draw of several objectives: the first; ``None`` where it is one."""
    return None if len(study.directions) == 1 else lambda trial: trial.values[0]


def history_panel(study: Study, metric: str) -> Panel:
    """Show the score of each complete trial and the best so far."""
    import optuna

    title = "History"
    if not complete_trials(study):
        return Panel(title, "No trial is complete yet.")
    with quietly():
        figure = optuna.visualization.plot_optimization_history(
            study, target=_score(study), target_name=metric
        )
    figure.update_layout(title=None)
    return Panel(title, f"Validation {metric} by trial, and the best one so far.", figure)


def slice_panels(study: Study, metric: str) -> list[Panel]:
    """Show the score against each searched setting, one panel a setting."""
    import optuna

    panels = []
    for name in searched(study):
        with quietly():
            figure = optuna.visualization.plot_slice(
                study, params=[name], target=_score(study), target_name=metric
            )
        figure.update_layout(title=None)
        # Optuna's blues end where a dark page begins.
        figure.update_traces(marker_colorscale=_EARLY_TO_LATE)
        panels.append(Panel(name, f"Validation {metric} against {name}.", figure))
    return panels or [Panel("Score against settings", "No trial is complete yet.")]


def importance_gap(study: Study) -> str | None:
    """Return why importances cannot be computed, ``None`` when they can."""
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
    if len({score_of(trial) for trial in trials}) < 2:
        return "All complete trials score the same: no setting can be shown to matter."
    return None


def importance_panel(study: Study, metric: str) -> Panel:
    """Show how much of the variation of the score each setting explains (fANOVA)."""
    import optuna

    title = "Importances"
    gap = importance_gap(study)
    if gap is not None:
        return Panel(title, gap)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    with quietly():
        figure = optuna.visualization.plot_param_importances(
            study, evaluator=evaluator, target=_score(study), target_name=metric
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
