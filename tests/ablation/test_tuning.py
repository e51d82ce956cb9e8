from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora2_search.ablation.tuning import (
    FurtherTrial,
    _Grid,
    chosen_settings,
    further_trials,
    open_ends,
    tuning_lines,
)
from lora2_search.config.suite.schema import Suite, validate_suite
from lora2_search.config.suite.terms import Tuning
from lora2_search.config.yaml import Source
from lora2_search.errors import ConfigError, UserError
from lora2_search.store.record import RunRecord
from tests.ablation.test_runner import suite

RATES = [0.1, 0.2, 0.3]


def tuned_suite() -> Suite:
    grid = {"training.lr": RATES}
    return suite(tuning={"arms": {"base": grid, "narrow": grid}, "seeds": 2})


def leave(folder: Path, validation: dict[tuple[str, int, int], float | None]) -> None:
    """Write a record each tuning run: its validation score, ``None`` where it failed."""
    for run in tuned_suite().tuning_runs(folder):
        score = validation[run.arm, run.trial, run.config.seed - 1000]
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
    first, second = tuning_lines(chosen, {"base": ["training.lr"], "narrow": []})
    assert first.startswith("tuned base: training.lr=0.3 (the end of its grid for training.lr")
    assert second == "tuned narrow: training.lr=0.2"


END_CASES = [
    # scores of the three trials with two seeds; whether the upper end counts
    ([[0.5, 0.5], [0.6, 0.6], [0.7, 0.8]], True),
    ([[0.5, 0.5], [0.6, 0.6], [0.59, 0.9]], False),  # 0.145 better, standard error 0.155
    ([[0.5, 0.5], [0.6, None], [0.7, 0.8]], True),  # its inner neighbour was not completed
]


@pytest.mark.parametrize(("base", "counts"), END_CASES)
def test_an_end_counts_where_it_beats_its_inner_neighbour_by_more_than_one_standard_error(
    base: list[list[float | None]], counts: bool, tmp_path: Path
) -> None:
    leave(tmp_path, scores(base))
    ends = {"base": ["training.lr"] if counts else [], "narrow": []}
    assert open_ends(tuned_suite(), tmp_path) == ends


def extended_suite(times: int = 2, **more: object) -> Suite:
    grid = {"training.lr": [0.1, 0.2, 0.4]}
    tuning = {"arms": {"narrow": grid}, "seeds": 2, "extend": {"training.lr": times}, **more}
    return suite(tuning=tuning)


def leave_rising(made: Suite, folder: Path, key: str = "training.lr") -> None:
    """Write a record each tuning run whose score rises with a setting, with every seed."""
    for run in made.tuning_runs(folder):
        if not run.folder.exists():
            record = RunRecord(
                fingerprint=run.config.fingerprint(),
                config={},
                metric="accuracy",
                status="completed",
                scores={"validation/accuracy": run.settings[key]},
            )
            run.folder.mkdir(parents=True)
            record.write(run.folder)


def with_trials(made: Suite, further: dict[str, FurtherTrial]) -> Suite:
    assert made.tuning is not None
    trials = {arm: trial.settings for arm, trial in further.items()}
    return made.model_copy(update={"tuning": made.tuning.with_trials(trials)})


def refined(made: Suite, folder: Path) -> list[object]:
    """Run the tuning to its end and return the trials of `narrow` beyond its grid."""
    tried: list[object] = []
    while True:
        leave_rising(made, folder)
        further = further_trials(made, folder)
        if not further:
            return tried
        tried += [trial.settings["training.lr"] for trial in further.values()]
        made = with_trials(made, further)


def test_what_the_grid_leaves_of_the_total_refines_around_the_best_trial(tmp_path: Path) -> None:
    tuning = {"arms": {"narrow": {"training.lr": [0.1, 0.2, 0.4]}}, "seeds": 1, "total": 6}
    made = suite(tuning=tuning)
    assert made.tuning is not None and made.tuning.left_over == 3
    # The score rises with the rate: halfway (geometric) from the best to the one below, each time.
    assert refined(made, tmp_path) == [0.283, 0.336, 0.367]


def test_moving_an_end_counts_towards_the_total_and_refining_is_no_move(tmp_path: Path) -> None:
    made = extended_suite(times=2, total=6)
    assert refined(made, tmp_path) == [0.8, 1.6, 1.13]
    assert refined(extended_suite(times=2, total=4), tmp_path / "less") == [0.8]


@given(
    scores=st.lists(st.floats(0, 1), min_size=20, max_size=20),
    lrs=st.lists(st.floats(1e-4, 1.0), min_size=2, max_size=4, unique_by=lambda x: f"{x:.1g}"),
)
def test_refinement_stays_between_what_was_tried_and_never_repeats(
    scores: list[float], lrs: list[float]
) -> None:
    grid = {"training.lr": lrs, "adapter.lora_alpha": [8.0, 16.0]}
    tuning = Tuning(arms={"narrow": grid}, seeds=1, total=12)
    for _ in range(20):
        trials = tuning.trials("narrow")
        run = {number: [scores[number]] for number in range(len(trials))}
        further = next(_Grid(tuning, "narrow", run).further(), None)
        if further is None:
            break
        assert further.settings not in trials
        for setting, value in further.settings.items():
            assert min(grid[setting]) <= value <= max(grid[setting])
        tuning = tuning.with_trials({"narrow": further.settings})
    assert len(tuning.trials("narrow")) <= 12


def test_a_grid_moves_on_by_its_ratio_as_often_as_it_may(tmp_path: Path) -> None:
    made, tried = extended_suite(times=2), []
    for _ in range(5):
        leave_rising(made, tmp_path)
        further = further_trials(made, tmp_path)
        if not further:
            break
        tried.append(further["narrow"].settings["training.lr"])
        made = with_trials(made, further)
    assert tried == [0.8, 1.6]
    assert chosen_settings(made, tmp_path) == {"narrow": {"training.lr": 1.6}}
    assert open_ends(made, tmp_path) == {"narrow": ["training.lr"]}
    again = validate_suite(Source(made.spelled_out()))
    assert again.tuning == made.tuning


def test_a_grid_over_two_settings_moves_on_from_its_best_trial_alone(tmp_path: Path) -> None:
    grid = {"adapter.lora_alpha": [8.0, 16.0], "training.lr": [0.1, 0.2]}
    made = suite(
        tuning={"arms": {"narrow": grid}, "seeds": 1, "extend": {"training.lr": 1}},
    )
    leave_rising(made, tmp_path)
    further = further_trials(made, tmp_path)
    assert further["narrow"].settings == {"adapter.lora_alpha": 8.0, "training.lr": 0.4}


def test_a_trial_that_another_settings_end_was_moved_to_has_no_end_of_its_own(
    tmp_path: Path,
) -> None:
    grid = {"adapter.lora_alpha": [8.0, 16.0], "training.lr": [0.1, 0.2]}
    made = suite(tuning={"arms": {"narrow": grid}, "seeds": 2, "extend": {"training.lr": 1}})
    leave_rising(made, tmp_path)
    made = with_trials(made, further_trials(made, tmp_path))
    leave_rising(made, tmp_path)
    assert further_trials(made, tmp_path) == {}
    best = {"adapter.lora_alpha": 8.0, "training.lr": 0.4}
    assert chosen_settings(made, tmp_path) == {"narrow": best}
    assert open_ends(made, tmp_path) == {"narrow": ["training.lr"]}


@pytest.mark.parametrize(
    ("written", "moved"), [([4, 8], 16), ([4, 6], 9), ([2, 3], None), ([1, 2], 4)]
)
def test_a_grid_of_whole_numbers_moves_on_to_whole_numbers(
    written: list[int], moved: int | None, tmp_path: Path
) -> None:
    grid = {"adapter.r": written}
    made = suite(tuning={"arms": {"narrow": grid}, "seeds": 1, "extend": {"adapter.r": 1}})
    leave_rising(made, tmp_path, "adapter.r")
    further = {arm: trial.settings for arm, trial in further_trials(made, tmp_path).items()}
    assert further == ({} if moved is None else {"narrow": {"adapter.r": moved}})
    assert open_ends(made, tmp_path) == {"narrow": ["adapter.r"]}


def test_what_is_on_or_off_has_no_end(tmp_path: Path) -> None:
    grid = {"model.trust_remote_code": [False, True]}
    made = suite(tuning={"arms": {"narrow": grid}, "seeds": 2})
    leave_rising(made, tmp_path, "model.trust_remote_code")
    assert open_ends(made, tmp_path) == {"narrow": []}


def test_a_grid_that_may_not_move_on_or_whose_end_cannot_run_stays(tmp_path: Path) -> None:
    made = suite(tuning={"arms": {"narrow": {"training.lr": [0.1, 0.2]}}, "seeds": 1})
    leave_rising(made, tmp_path)
    assert further_trials(made, tmp_path) == {}
    dropout = suite(
        tuning={
            "arms": {"narrow": {"adapter.lora_dropout": [0.25, 0.75]}},
            "seeds": 1,
            "extend": {"adapter.lora_dropout": 1},
        }
    )
    leave_rising(dropout, tmp_path / "dropout", "adapter.lora_dropout")
    assert further_trials(dropout, tmp_path / "dropout") == {}


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({"extend": {"training.epochs": 1}}, "training.epochs, which no arm is tuned over"),
        ({"extend": {"training.lr": 0}}, "greater than or equal to 1"),
        (
            {"arms": {"narrow": {"adapter.scoring": ["full", "random"]}}},
            "must list numbers above 0",
        ),
        (
            {"arms": {"narrow": {"training.lr": [0.1, 0.2]}, "base": {"training.lr": [1, 2, 3]}}},
            "`unequal: true`",
        ),
        (
            {"arms": {"narrow": {"training.lr": [0.1, 0.2, 0.4]}}, "total": 2},
            "at least the trials of the largest grid, but got total=2, narrow 3",
        ),
    ],
)
def test_a_tuning_that_cannot_be_moved_on_or_is_unequal_is_refused(
    tuning: dict[str, object], message: str
) -> None:
    given = {"arms": {"narrow": {"training.lr": [0.1, 0.2]}}, **tuning}
    given.setdefault("extend", {"adapter.scoring": 1} if "scoring" in str(given) else {})
    with pytest.raises(ConfigError, match=message):
        suite(tuning=given)


def test_tuning_may_be_unequal_where_the_suite_says_so() -> None:
    arms = {"narrow": {"training.lr": [0.1, 0.2]}, "base": {"training.lr": [1.0, 2.0, 3.0]}}
    made = suite(tuning={"arms": arms, "unequal": True, "seeds": 1})
    assert [run.arm for run in made.tuning_runs(Path())].count("base") == 3


def test_tuning_runs_do_not_score_the_test_split() -> None:
    tuning, compared = (
        {run.config.training.score_test for run in runs}
        for runs in (tuned_suite().tuning_runs(Path()), tuned_suite().runs(Path()))
    )
    assert (tuning, compared) == ({False}, {True})
