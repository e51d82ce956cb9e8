from __future__ import annotations

from pathlib import Path

import pytest

from lora2_search.ablation.suite import Suite
from lora2_search.ablation.tuning import chosen_settings, told_choices
from lora2_search.errors import UserError
from lora2_search.training.record import RunRecord

from .test_runner import suite

RATES = [0.1, 0.2, 0.3]


def tuned_suite() -> Suite:
    grid = {"training.lr": RATES}
    return suite(tuning={"arms": {"base": grid, "narrow": grid}, "seeds": 2})


def leave(folder: Path, validation: dict[tuple[str, int, int], float | None]) -> None:
    """Write a record each tuning run: its validation score, ``None`` where it failed."""
    for run in tuned_suite().tuning_runs(folder):
        score = validation[run.tags["arm"], int(run.tags["trial"]), run.config.seed - 1000]
        record = RunRecord(
            fingerprint=run.config.fingerprint(),
            config=run.config.model_dump(mode="json"),
            metric="accuracy",
            status="failed" if score is None else "completed",
            # The test score points the other way: it must have no part in the choice.
            scores={} if score is None else {"validation/accuracy": score, "test/accuracy": -score},
        )
        run.folder.mkdir(parents=True)
        record.write(run.folder)


def scores(base: list[list[float | None]]) -> dict[tuple[str, int, int], float | None]:
    narrow = [[0.5, 0.5], [0.4, 0.9], [0.1, 0.1]]
    return {
        (arm, trial, seed): value
        for arm, table in (("base", base), ("narrow", narrow))
        for trial, row in enumerate(table)
        for seed, value in enumerate(row)
    }


@pytest.mark.parametrize(
    ("base", "rate"),
    [
        ([[0.5, 0.5], [0.6, 0.5], [0.5, 0.5]], 0.2),
        ([[0.5, 0.5], [0.9, 0.0], [0.5, 0.6]], 0.3),
        ([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], 0.1),
        ([[0.1, 0.1], [0.9, None], [0.2, 0.2]], 0.3),
    ],
    ids=["highest mean", "mean over seeds", "first of equals", "a trial that failed with one seed"],
)
def test_the_best_mean_validation_score_is_chosen(
    base: list[list[float | None]], rate: float, tmp_path: Path
) -> None:
    leave(tmp_path, scores(base))
    chosen = chosen_settings(tuned_suite(), tmp_path)
    assert chosen == {"base": {"training.lr": rate}, "narrow": {"training.lr": 0.2}}
    assert tuned_suite().with_tuned(chosen).training.lr == rate


def test_an_arm_of_which_nothing_was_completed_is_said(tmp_path: Path) -> None:
    leave(tmp_path, scores([[0.5, None], [None, None], [None, 0.5]]))
    with pytest.raises(UserError, match=r"tuning base: none of its 3 trials .*\(1000, 1001\)"):
        chosen_settings(tuned_suite(), tmp_path)


def test_a_choice_at_the_end_of_its_grid_is_told() -> None:
    chosen = {"base": {"training.lr": 0.3}, "narrow": {"training.lr": 0.2}}
    first, second = told_choices(tuned_suite(), chosen)
    assert first.startswith("tuned base: training.lr=0.3 (the end of its grid for training.lr")
    assert second == "tuned narrow: training.lr=0.2"
