"""Trials whose settings are given instead of proposed: they wait in the study for their turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..analysis import GIVEN_BY
from ..config.space import Space, exact_settings

if TYPE_CHECKING:
    from optuna.study import Study as OptunaStudy

# An attribute of such a trial in Optuna's study: its settings.
GIVEN = "given"


def enqueue(study: OptunaStudy, space: Space, settings: Mapping[str, Any], by: str) -> None:
    """Let the next trial have these settings; what they leave out is proposed when it begins.

    Args:
        study: Optuna's; whoever runs it finds the trial there.
        space: What is searched.
        settings: By dotted name, found right.
        by: Who gave them.
    """
    exact = exact_settings(settings, space.search)
    study.enqueue_trial(exact, user_attrs={GIVEN: exact, GIVEN_BY: by})
