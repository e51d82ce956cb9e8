from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import yaml

from lora2_search.analysis.baselines import standings
from lora2_search.analysis.history import Span
from lora2_search.analysis.landscape import SettingAxis, setting_axes
from lora2_search.analysis.study import read_study_table
from lora2_search.analysis.versus import compare_studies
from lora2_search.config.run import RunConfig, with_settings
from lora2_search.errors import UserError
from lora2_search.report.figures.drawing import Drawing
from lora2_search.report.figures.panel import drawn_keys
from lora2_search.report.figures.settings import draw_rank_grid, most_important
from lora2_search.report.figures.study_numbers import StudyNumbers
from lora2_search.report.figures.study_panels import (
    curves_panel,
    history_panel,
    importance_panel,
    standings_panel,
    timeline_panel,
)
from lora2_search.report.figures.style import STATE_STYLES, WINNER_COLOUR
from lora2_search.report.figures.trials import draw_timeline, learning_curves
from lora2_search.report.pages.study import study_page, study_sections, write_study_page
from lora2_search.report.tables.pairs import settings_table
from lora2_search.report.tables.search_space import space_rows
from lora2_search.report.tables.study import size_table, trials_table
from lora2_search.store.rank_pattern import rank_grid
from lora2_search.store.record import Flag, read_record
from tests.support.spaces import space_of
from tests.support.studies import write_trials
from tests.support.suites import MODULES, record, write_run, write_study_files
from tests.support.trials import drive

LR = optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)
K = optuna.distributions.IntDistribution(1, 16)
State = optuna.trial.TrialState
optuna.logging.set_verbosity(optuna.logging.ERROR)


def write_study(
    folder: Path, states: list[State], reference: bool = True, vary: bool = True
) -> Path:
    """Write a study with one trial a state; trial n scores 0.6 + n / 100."""
    write_study_files(folder)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'study.db'}", study_name="study", direction="maximize"
    )
    for number, state in enumerate(states):
        params = {"training.lr": 1e-3 * (1 + number * vary), "adapter.k": 2 + number * vary}
        score = 0.6 + number / 100
        ended = state in (State.COMPLETE,)
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=score if ended or state == State.PRUNED else None,
                params=params,
                distributions={"training.lr": LR, "adapter.k": K},
                intermediate_values={1: score - 0.1, 2: score},
                user_attrs={} if ended else {"reason": "<why> it ended"},
            )
        )
        status = {State.COMPLETE: "completed", State.PRUNED: "pruned", State.FAIL: "failed"}
        config = with_settings(RunConfig(task="sentiment"), params)
        scores = {"validation/accuracy": score, "test/accuracy": score - 0.02}
        write_run(
            folder / "trials" / f"{number:05d}",
            config,
            status=status.get(state, "running"),
            scores=scores if ended else {},
        )
    if reference:
        head_only = RunConfig(task="sentiment", method="head-only")
        write_run(folder / "reference" / "head-only", head_only, scores={"test/accuracy": 0.5})
    return folder


MIXED = [State.COMPLETE, State.PRUNED, State.COMPLETE, State.FAIL, State.COMPLETE, State.COMPLETE]


@pytest.mark.parametrize(
    "states, words",
    [
        ([], ["No trial is complete yet", "0 trials: none yet"]),
        (
            [State.COMPLETE],
            [
                "Winner: trial 0",
                "need at least 4 complete trials; there is 1, so 3 more are needed",
            ],
        ),
        ([State.FAIL], ["there is no winner", "1 failed"]),
        (
            [State.RUNNING, State.COMPLETE, State.WAITING],
            ["not finished: 2 of 8 trials were started, 1 of them ended", "1 under way"],
        ),
        (MIXED, ["Winner: trial 5", "1 pruned", "1 failed", "fANOVA", "+13.00 points"]),
    ],
)
def test_a_page_is_written_whatever_became_of_the_trials(
    tmp_path: Path, states: list[State], words: list[str]
) -> None:
    html = write_study_page(write_study(tmp_path, states)).read_text(encoding="utf-8")
    assert [word for word in words if word not in html] == []


def test_the_page_holds_plotly_once_and_loads_nothing(tmp_path: Path) -> None:
    html = write_study_page(write_study(tmp_path, MIXED)).read_text(encoding="utf-8")
    assert html.count("plotly.js (cartesian") == 1
    assert html.count('class="plot"') >= 6
    assert "default-src 'none'" in html and "connect-src" not in html.partition("<style>")[0]
    assert not re.search(r"<(script|img|iframe)[^>]+src=|<link\b|@import", html)


def test_the_names_of_a_studys_figures_are_keys_of_the_page(tmp_path: Path) -> None:
    folder = write_study(tmp_path, MIXED)
    found = StudyNumbers(read_study_table(folder))
    panels = [standings_panel(found), history_panel(found), timeline_panel(found)]
    drawn = [*panels, curves_panel(found)]
    keys = {}
    for panel in drawn:
        if isinstance(panel.figure, Drawing):
            assert panel.figure.layout["showlegend"] is False
            named = {t.get("legendgroup", t.get("name")): t for t in panel.figure.data}
            assert [key.name for key in panel.keys] == list(named)
            keys |= {(panel.title, key.name): key for key in panel.keys}
    pruned, best = keys["History", "pruned"], keys["History", "best so far"]
    assert (pruned.dash, pruned.symbol) == ("", "triangle-down-open")
    assert (best.dash, best.symbol, best.colour) == ("solid", "", WINNER_COLOUR)
    assert keys["History", "winner (trial 5)"].symbol == "star"
    html = study_page(found.table)
    assert html.count('<button type="button" aria-pressed="true">') == len(keys) > 6
    assert set(re.findall(r'href="#((?:mark|line)-[a-z-]+)"', html)) <= set(
        re.findall(r'<path id="((?:mark|line)-[a-z-]+)"', html)
    )


def test_a_key_of_a_timeline_has_the_pattern_and_the_colour_of_its_state() -> None:
    states = ("COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "FAIL", "RUNNING")
    spans = [Span(f"trial {n}", state, n, n + 1, 0) for n, state in enumerate(states)]
    keys = {key.name: key for key in drawn_keys(draw_timeline(spans, 0))}
    assert {name: key.symbol for name, key in keys.items()} == {
        "complete": "bar",
        "pruned": "bar-striped",
        "failed": "bar-crossed",
        "under way": "bar-dotted",
    }
    assert keys["complete"].colour == STATE_STYLES["COMPLETE"].colour


def test_health_flags_stand_beside_the_winner_and_in_the_table(tmp_path: Path) -> None:
    folder = write_study(tmp_path, [State.COMPLETE, State.FAIL, State.COMPLETE])
    for number, name in ((1, "memory"), (2, "gradient")):
        place = folder / "trials" / f"{number:05d}"
        read = read_record(place)
        assert read is not None
        flag = Flag(name=name, detail="it <leapt>", setting="training.lr")
        read.model_copy(update={"flags": [flag]}).write(place)
    html = write_study_page(folder).read_text(encoding="utf-8")
    assert "Health flag gradient: it &lt;leapt&gt;; turn training.lr." in html
    assert "Health flag memory" not in html
    flags = {row["trial"]: row["flags"] for row in trials_table(read_study_table(folder)).texts}
    assert flags == {"0": "–", "1": "memory", "2": "gradient"}


def test_what_users_wrote_is_escaped(tmp_path: Path) -> None:
    html = write_study_page(write_study(tmp_path, MIXED)).read_text(encoding="utf-8")
    assert "&lt;why&gt; it ended" in html and "<why>" not in html


def test_the_mask_and_what_was_generated_are_shown_as_text(tmp_path: Path) -> None:
    import pandas as pd

    folder = write_study(tmp_path, [State.COMPLETE])
    place = folder / "trials" / "00000"
    read = read_record(place)
    assert read is not None
    bad = "<script>alert(1)</script>"
    read.model_copy(update={"example": f"Review: {bad}⟦ <b>good</b>⟧"}).write(place)
    said = {"prompt": bad, "answer": "<i>a</i>", "generated": "<img src=x onerror=alert(1)>"}
    row = {"split": "validation", "example": 0, "label": 1.0, "prediction": 0.0, **said}
    pd.DataFrame([row]).to_parquet(place / "predictions.parquet")
    html = write_study_page(folder).read_text(encoding="utf-8")
    assert (
        "Review: &lt;script&gt;alert(1)&lt;/script&gt;<mark> &lt;b&gt;good&lt;/b&gt;</mark>" in html
    )
    assert "&lt;img src=x onerror=alert(1)&gt;" in html and "&lt;i&gt;a&lt;/i&gt;" in html
    assert bad not in html and "<img" not in html and "<b>good" not in html


def test_a_classifiers_page_has_no_such_section(tmp_path: Path) -> None:
    html = write_study_page(write_study(tmp_path, [State.COMPLETE])).read_text(encoding="utf-8")
    assert "What is learnt, and written" not in html


def test_the_best_complete_trial_comes_first_and_stopped_ones_last(tmp_path: Path) -> None:
    rows = trials_table(read_study_table(write_study(tmp_path, MIXED))).texts
    assert [row["trial"] for row in rows] == ["5", "4", "2", "0", "1", "3"]
    assert rows[0]["validation"] == "65.00" and rows[0]["setting.adapter.k"] == "7"
    assert rows[4]["validation"] == "(61.00)" and rows[4]["state"] == "pruned"


def test_a_pruned_trial_with_the_highest_score_is_no_winner(tmp_path: Path) -> None:
    table = read_study_table(write_study(tmp_path, [State.COMPLETE, State.PRUNED]))
    assert table.winner is not None and table.winner.number == 0


def test_the_winner_stands_beside_head_only(tmp_path: Path) -> None:
    table = read_study_table(write_study(tmp_path, MIXED))
    assert [row.test.estimate for row in standings(table)] == pytest.approx([0.63, 0.5])
    assert size_table(table).texts[0]["compressed_adapter"] == "300"


def test_other_references_stand_between_the_winner_and_head_only(tmp_path: Path) -> None:
    folder = write_study(tmp_path, MIXED)
    space = yaml.safe_load((folder / "space.yaml").read_text())
    lora = {"method": "lora"}
    (folder / "space.yaml").write_text(yaml.safe_dump(space | {"references": {"lora": lora}}))
    scores = {"validation/accuracy": 0.7, "test/accuracy": 0.68}
    config = RunConfig(task="sentiment", method="lora")
    write_run(folder / "reference" / "lora", config, scores=scores)
    table = read_study_table(folder)
    names = ["winner", "lora", "head-only"]
    assert [row["run"] for row in size_table(table).rows] == names
    assert [row.name for row in standings(table)] == names
    html = write_study_page(folder).read_text(encoding="utf-8")
    assert "winner − lora, test" in html and "-5.00 points" in html
    assert "The winner is no better than lora on the validation split." in html


def test_without_a_reference_the_winner_stands_alone(tmp_path: Path) -> None:
    folder = write_study(tmp_path, MIXED, reference=False)
    table = read_study_table(folder)
    assert [row.name for row in standings(table)] == ["winner"]
    assert size_table(table).texts[1]["compressed_adapter"] == "–"
    assert write_study_page(folder).is_file()


def test_records_that_are_cut_short_or_gone_are_named(tmp_path: Path) -> None:
    folder = write_study(tmp_path, MIXED)
    (folder / "trials" / "00001" / "record.json").write_text('{"fingerprint": ')
    (folder / "trials" / "00002" / "record.json").unlink()
    assert "missing or cannot be read: 00001, 00002." in write_study_page(folder).read_text()


@pytest.mark.parametrize(
    "states, vary, word",
    [
        ([State.COMPLETE] * 3, True, "there are 3, so one more is needed"),
        ([State.COMPLETE] * 5, False, "fewer than two settings vary"),
        ([State.PRUNED] * 5, True, "there are 0, so 4 more are needed"),
    ],
)
def test_importances_that_cannot_be_told_have_a_reason(
    tmp_path: Path, states: list[State], vary: bool, word: str
) -> None:
    panel = importance_panel(
        StudyNumbers(read_study_table(write_study(tmp_path, states, vary=vary)))
    )
    assert word in panel.text and panel.figure is None


def test_importances_are_shares_of_one(tmp_path: Path) -> None:
    table = read_study_table(write_study(tmp_path, [State.COMPLETE] * 6))
    figure = importance_panel(StudyNumbers(table)).figure
    assert figure is not None and sum(figure.to_plotly_json()["data"][0]["x"]) == pytest.approx(1)


def test_of_many_settings_lines_run_through_the_most_important() -> None:
    axes = [SettingAxis(f"adapter.s{number}", 0, 1) for number in range(9)]
    assert most_important(axes[:6], {}) == axes[:6]
    assert most_important(axes, {}) == axes[:6]
    assert most_important(axes, {"adapter.s8": 0.7, "adapter.s6": 0.2}) == [
        *axes[:4],
        axes[6],
        axes[8],
    ]


def test_learning_curves_are_the_records_validation_scores() -> None:
    config = RunConfig(task="sentiment")
    known, unknown = record(config), record(config, history=[])
    curves = learning_curves({3: known, 4: unknown, 1: known}, {3: "PRUNED"}, "accuracy")
    assert [(curve.number, curve.state) for curve in curves] == [(1, "RUNNING"), (3, "PRUNED")]
    assert curves[0].steps == (2, 3, 4, 5, 6) and curves[0].scores[0] == pytest.approx(0.5)


def test_the_rank_grid_is_blocks_by_kinds_of_module() -> None:
    pattern = {name: index for index, name in enumerate(MODULES)}
    grid = rank_grid({**pattern, "bert.encoder.layer.10.attention.self.key": 7, "pooler.dense": 2})
    assert grid.layers == ("0", "1", "10", "–")
    assert grid.kinds[:3] == tuple(f"attention.self.{k}" for k in ("query", "key", "value"))
    assert grid.ranks[1] == (3, 4, 5, None)
    assert grid.ranks[2] == (None, 7, None, None)
    assert grid.ranks[3] == (None, None, None, 2)
    [drawn] = draw_rank_grid(grid, 8).data
    assert drawn["zmax"] == 8 and drawn["text"][1][2] == "7"
    assert drawn["y"][1] == "attention.self.key"


@pytest.mark.parametrize("missing", ["space.yaml", "study.db"])
def test_a_folder_without_a_study_is_the_users_mistake(tmp_path: Path, missing: str) -> None:
    folder = write_study(tmp_path, [State.COMPLETE])
    (folder / missing).unlink()
    with pytest.raises(UserError, match=missing):
        write_study_page(folder)
    assert not (folder / missing).exists()


def test_the_page_says_when_the_winner_beats_nothing(tmp_path: Path) -> None:
    folder = write_study(tmp_path, [State.COMPLETE])
    floor = RunConfig(task="sentiment", method="head-only")
    write_run(folder / "reference" / "head-only", floor, scores={"validation/accuracy": 0.6})
    html = write_study_page(folder).read_text(encoding="utf-8")
    assert '<p class="note">The winner is no better than head-only' in html
    assert "tie; the first is shown" not in html


def test_the_protocol_is_explained(tmp_path: Path) -> None:
    html = write_study_page(write_study(tmp_path, [State.COMPLETE])).read_text(encoding="utf-8")
    assert "protocol clean (settings are chosen on a slice of the training set" in html


@pytest.mark.parametrize(
    ("protocol", "role"), [("clean", "only reported"), ("paper", "chosen by too")]
)
def test_the_test_scores_are_called_what_the_protocol_makes_them(
    tmp_path: Path, protocol: str, role: str
) -> None:
    table = read_study_table(write_study(tmp_path, [State.COMPLETE]))
    space = table.runs.space.model_copy(update={"protocol": protocol})
    table = replace(table, runs=replace(table.runs, space=space))
    panel = standings_panel(StudyNumbers(table))
    assert panel.figure is not None
    test, validation = panel.figure.to_plotly_json()["data"]
    assert (test["name"], validation["name"]) == (f"test ({role})", "validation (chosen by)")
    assert ("it was chosen by that too" in panel.text) == (protocol == "paper")
    cards = [text for _, text in study_sections(StudyNumbers(table)).winner.cards]
    assert f"({role}" in cards[1]


def test_a_setting_that_was_chosen_to_be_unset_is_told_from_one_that_a_trial_lacks(
    tmp_path: Path,
) -> None:
    k = {"type": "int", "low": 1, "high": 16}
    rank = {"type": "categorical", "choices": [None, 4]}
    space = space_of(
        search={"adapter.k": k, "adapter.target_rank": rank}, sampler={"name": "random"}, trials=6
    )
    drive(tmp_path / "a", space)
    table = read_study_table(tmp_path / "a")
    ranks = {trial.number: trial.params["adapter.target_rank"] for trial in table.trials}
    assert set(ranks.values()) == {None, 4}
    told = {number: "unset" if rank is None else "4" for number, rank in ranks.items()}
    rows = trials_table(table).texts
    assert {int(row["trial"]): row["setting.adapter.target_rank"] for row in rows} == told
    axis = setting_axes(table)[1]
    assert axis.choices == ("unset", "4") and axis.coordinate(None) == 0
    assert [row["values"] for row in space_rows(space).texts] == ["1 to 16", "unset, 4"]
    winner = study_sections(StudyNumbers(table)).winner
    assert f"adapter.target_rank = {told[winner.number]}" in winner.settings
    pairs = settings_table(compare_studies(table, table), ("a", "b")).texts
    (pair,) = [row for row in pairs if row["setting"] == "adapter.target_rank"]
    assert pair["left"] == pair["right"] == told[winner.number]

    lacks = {"params": {"training.lr": 1e-3}, "values": [0.5]}
    (row,) = trials_table(read_study_table(write_trials(tmp_path / "b", [lacks]))).texts
    assert row["setting.adapter.k"] == "–"


def test_what_was_stopped_stands_with_its_reason_and_its_place(tmp_path: Path) -> None:
    html = write_study_page(write_study(tmp_path, MIXED)).read_text(encoding="utf-8")
    stopped = html.partition('id="stopped"')[2].partition("</section>")[0]
    assert "1 pruned: &lt;why&gt; it ended" in stopped and "1 failed" in stopped
    assert "6 of 6" not in stopped and "5 of 6" in stopped  # trial 1 scores above trial 0 alone


def test_a_winner_at_the_edge_is_told_which_range_to_search_next(tmp_path: Path) -> None:
    folder = write_study(tmp_path, [State.COMPLETE])
    space = yaml.safe_load((folder / "space.yaml").read_text())
    space["search"]["training.lr"]["low"] = 1e-3  # the winner's
    (folder / "space.yaml").write_text(yaml.safe_dump(space))
    html = write_study_page(folder).read_text(encoding="utf-8")
    assert "is at the lower end of its range (0.001 to 0.1)" in html
    assert "training.lr: {type: float, low: 0.0001, high: 0.1, log: true}" in html


def test_every_figure_has_its_numbers_beside_it(tmp_path: Path) -> None:
    html = write_study_page(write_study(tmp_path, MIXED)).read_text(encoding="utf-8")
    figures = re.findall(r'<section class="figure" id="([^"]+)">(.*?)</section>', html, re.DOTALL)
    drawn = {name for name, text in figures if 'class="plot"' in text}
    assert len(drawn) == 8  # no run has a time on the clock
    # Its numbers are those of the table of trials.
    without = {name for name, text in figures if "<summary>Numbers" not in text}
    assert drawn & without == {"settings-of-all-trials"}
