"""Studies written by hand, as a search would leave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from lora2_search.config.run import RunConfig, with_settings
from tests.support.suites import write_run, write_study_files

LR = optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)
K = optuna.distributions.IntDistribution(1, 16)
State = optuna.trial.TrialState
optuna.logging.set_verbosity(optuna.logging.ERROR)

_STATUS = {State.COMPLETE: "completed", State.PRUNED: "pruned", State.FAIL: "failed"}


def write_trials(folder: Path, trials: Sequence[Mapping[str, Any]], name: str = "study") -> Path:
    """Write a study; a trial is its ``state``, ``params``, ``values`` by evaluation, and more.

    The last of ``values`` is its score; other keys go into its record, ``reason`` to Optuna.
    """
    write_study_files(folder, name)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'study.db'}", study_name=name, direction="maximize"
    )
    for number, given in enumerate(trials):
        state = given.get("state", State.COMPLETE)
        values = dict(enumerate(given.get("values", ()), start=1))
        params = given.get("params", {"training.lr": 1e-3, "adapter.k": 4})
        ended = state == State.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=values[max(values)] if ended else None,
                params=params,
                distributions={key: {"training.lr": LR, "adapter.k": K}[key] for key in params},
                intermediate_values=values,
                user_attrs={"reason": given["reason"]} if "reason" in given else {},
            )
        )
        more = {k: v for k, v in given.items() if k not in ("state", "params", "values", "reason")}
        if ended and "predictions" not in more:
            scores = {"validation/accuracy": values[max(values)], "test/accuracy": 0.6}
            more = {"scores": scores, **more}
        write_run(
            folder / "trials" / f"{number:05d}",
            with_settings(RunConfig(task="sentiment"), params),
            status=_STATUS.get(state, "running"),
            **more,
        )
    return folder
