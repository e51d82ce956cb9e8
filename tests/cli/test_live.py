from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lora2_search.cli.console.live import ROWS, LiveView
from lora2_search.cli.console.rows import duration
from lora2_search.cli.console.screen import screen
from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.run_info import RunInfo
from lora2_search.store.rank_pattern import write_rank_pattern
from lora2_search.store.record import RunRecord
from lora2_search.training.events import Report


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def run(number: int, metric: str | None = None, **settings: object) -> RunInfo:
    config, folder = RunConfig(task="rte"), Path(f"trials/{number}")
    return RunInfo(f"{number:05d}", f"trial {number}", config, settings, folder, metric=metric)


def report(interval: int, score: float = 0.5, rank: int = 90) -> Report:
    return Report(interval, 4, interval * 10, 40, score, rank, (), interval == 4)


def record(score: float, f1: float = 0.0) -> RunRecord:
    scores = {"validation/accuracy": score, "validation/f1": f1}
    return RunRecord(fingerprint="f", config={}, metric="accuracy", scores=scores)


def view(
    total: int | None = None, terminal: bool = False, width: int = 140
) -> tuple[LiveView, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    return LiveView(total, stream, clock, width=width, terminal=terminal), stream, clock


def cells(table_view: LiveView) -> list[list[str]]:
    columns = [[str(cell) for cell in column.cells] for column in table_view.table().columns]
    return [list(row) for row in zip(*columns, strict=True)]


def test_without_a_terminal_every_event_is_one_line() -> None:
    live, stream, clock = view(total=2)
    with live:
        live.started(run(0, **{"adapter.k": 4, "training.lr": 0.0012345}))
        live.reported(run(0), report(1, score=0.61))
        clock.now = 74
        live.ended(run(0), "COMPLETE", record(0.71), "")
    assert stream.getvalue().splitlines() == [
        "trial 0 started  k=4 lr=0.00123",
        "trial 0 step 10/40  validation score 0.6100  kept rank 90",
        "trial 0 COMPLETE  validation score 0.7100  1 min 14 s  1 of 2 done, about 1 min 14 s left"
        ", best 0.7100 (trial 0)",
    ]


def test_an_objective_is_shown_by_its_name_and_decides_which_run_is_the_best() -> None:
    live, stream, _ = view()
    with live:
        for number, accuracy, f1 in ((0, 0.9, 0.3), (1, 0.8, 0.4)):
            live.started(run(number, metric="f1"))
            live.reported(run(number, metric="f1"), report(1, score=f1))
            live.ended(run(number, metric="f1"), "COMPLETE", record(accuracy, f1), "")
    assert "trial 0 step 10/40  validation f1 0.3000  kept rank 90" in stream.getvalue()
    assert "trial 1 COMPLETE  validation f1 0.4000" in stream.getvalue()
    assert [row[3] for row in cells(live)] == ["0.3000", "0.4000 best"]
    assert live.table().columns[3].header == "validation f1"


def test_a_long_line_is_not_folded() -> None:
    live, stream, _ = view()
    with live:
        live.started(run(0, **{f"adapter.setting_{i}": i for i in range(60)}))
    assert len(stream.getvalue().splitlines()) == 1


def test_a_failure_says_why_and_keeps_brackets_as_they_are() -> None:
    live, stream, _ = view()
    with live:
        live.started(run(0, **{"adapter.gamma": [0.1, 0.2]}))
        live.ended(run(0), "FAIL", None, "loss [nan] at step 3")
    assert "gamma=[0.1, 0.2]" in stream.getvalue()
    assert "trial 0 FAIL  validation score -" in stream.getvalue()
    assert "(loss [nan] at step 3)" in stream.getvalue()
    assert cells(live)[0][-1] == "loss [nan] at step 3"


def test_the_table_shows_state_step_score_rank_and_time_left() -> None:
    live, _, clock = view(total=3)
    live.started(run(0, **{"adapter.k": 4}))
    clock.now = 20
    live.reported(run(0), report(1, score=0.61, rank=70))
    clock.now = 30
    assert cells(live) == [["trial 0", "running", "10/40", "0.6100", "70", "1 min 30 s", "k=4"]]


def test_a_resumed_run_is_timed_by_what_it_did_here() -> None:
    live, _, clock = view()
    live.started(run(0))
    clock.now = 1
    live.reported(run(0), report(2))
    assert cells(live)[0][5] == ""
    clock.now = 11
    live.reported(run(0), report(3))
    assert cells(live)[0][5] == "11 s"


def test_the_best_complete_run_is_marked_and_a_pruned_one_is_not() -> None:
    live, _, _ = view()
    for number, state, score in ((0, "COMPLETE", 0.7), (1, "COMPLETE", 0.8), (2, "PRUNED", 0.9)):
        live.started(run(number))
        live.ended(run(number), state, record(score), "")  # type: ignore[arg-type]
    assert [row[3] for row in cells(live)] == ["0.7000", "0.8000 best", "0.9000"]


def test_the_view_tells_the_best_the_budget_and_the_rungs(tmp_path: Path) -> None:
    stream, clock = io.StringIO(), Clock()
    live = LiveView(4, stream, clock, width=140, terminal=True, rungs=(2, 3))
    config = with_settings(RunConfig(task="rte"), {"adapter.r": 8, "adapter.target_rank": 6})
    one = replace(run(0, **{"adapter.k": 4}), config=config, folder=tmp_path)
    write_rank_pattern(tmp_path, {"layer.0": 8, "layer.1": 7}, highest=8)
    live.started(one)
    live.reported(one, report(2, rank=15))
    live.started(replace(run(1), is_reference=True))
    assert [row[4:6] for row in cells(live)] == [["1/2", "15 → 12"], ["", ""]]
    live.reported(one, report(4, rank=12))
    live.ended(one, "COMPLETE", record(0.71), "")
    assert cells(live)[0][4:6] == ["2/2", "12"]
    drawn = io.StringIO()
    Console(file=drawn, width=140).print(live.drawn())
    assert drawn.getvalue().splitlines()[0].startswith("1 of 4 done")
    assert "best so far: trial 0, validation score 0.7100  k=4" in drawn.getvalue()


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("1", False)])
def test_colours_are_for_terminals_that_want_them_and_words_stand_beside(
    no_color: str | None, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    if no_color:
        monkeypatch.setenv("NO_COLOR", no_color)
    told = io.StringIO()
    screen(told, terminal=True).print("But: it ties", style="warning")
    assert ("\x1b[33m" in told.getvalue()) is coloured
    assert "But: it ties" in told.getvalue()
    piped = io.StringIO()
    screen(piped).print("But: :smile: [red]it ties[/red]", style="warning")
    assert piped.getvalue() == "But: :smile: [red]it ties[/red]\n"


def test_a_long_study_shows_its_last_runs_and_all_that_run() -> None:
    live, _, _ = view()
    for number in range(100):
        live.started(run(number))
        if number != 3:
            live.ended(run(number), "COMPLETE", record(0.5), "")
    rows = cells(live)
    assert len(rows) == ROWS
    assert rows[0][0] == "trial 3"
    assert rows[-1][0] == "trial 99"
    assert live.table().caption == f"{100 - ROWS} earlier runs not shown"


def test_a_terminal_gets_a_table_and_no_lines() -> None:
    live, stream, _ = view(total=1, terminal=True)
    with live:
        live.started(run(0))
        live.ended(run(0), "COMPLETE", record(0.71), "")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "kept rank" in text
    assert "0.7100" in text
    assert "trial 0 started" not in text


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (50, ["run", "state", "validation f1"]),
        (60, ["run", "state", "step", "validation f1"]),
        (80, ["run", "state", "step", "validation f1", "kept rank", "time left"]),
        (140, ["run", "state", "step", "validation f1", "kept rank", "time left", "settings"]),
    ],
)
def test_a_narrow_terminal_keeps_state_and_score_and_splits_no_number(
    width: int, columns: list[str]
) -> None:
    live, _, clock = view(width=width)
    named = replace(run(0, "f1", **{"adapter.k": 4}), name="without-orthogonality, seed 10")
    live.started(named)
    clock.now = 250
    live.reported(named, report(1, score=0.61, rank=12345))
    assert [column.header for column in live.table().columns] == columns
    drawn = io.StringIO()
    Console(file=drawn, width=width).print(live.table())
    assert max(map(len, drawn.getvalue().splitlines())) <= width
    shown = {"validation f1": "0.6100", "kept rank": "12345", "time left": "12 min 30 s"}
    assert all(text in drawn.getvalue() for name, text in shown.items() if name in columns)


def test_in_a_terminal_a_failure_is_said_above_the_table() -> None:
    live, stream, _ = view(terminal=True, width=40)
    with live:
        live.started(run(0))
        live.ended(run(0), "FAIL", None, "loss [nan] at step 3")
    assert "trial 0 failed: loss [nan] at step 3" in stream.getvalue()


def test_a_method_without_ranks_has_none_in_the_line_and_in_the_table() -> None:
    live, stream, _ = view()
    live.started(run(0))
    live.reported(run(0), replace(report(1), kept_rank=None))
    assert stream.getvalue().splitlines()[-1] == "trial 0 step 10/40  validation score 0.5000"
    assert cells(live)[0][4] == ""


def test_a_run_took_what_its_record_says() -> None:
    live, stream, clock = view()
    live.started(run(0))
    clock.now = 160
    live.ended(run(0), "COMPLETE", record(0.7).model_copy(update={"timings": {"total": 155}}), "")
    assert "2 min 35 s" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_times_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def begun_before(folder: Path, name: str) -> RunInfo:
    (folder / name).mkdir(parents=True)
    return RunInfo(str(folder), folder.name, RunConfig(task="rte"), {}, folder)


def test_a_run_with_a_checkpoint_is_resumed(tmp_path: Path) -> None:
    live, stream, _ = view()
    live.started(begun_before(tmp_path / "one", "checkpoint"))
    live.started(run(0))
    assert stream.getvalue().splitlines() == ["one resumed", "trial 0 started"]


@pytest.mark.parametrize("intervals", [1, 4])
def test_runs_that_ended_earlier_say_nothing_about_the_time_left(
    intervals: int, tmp_path: Path
) -> None:
    live, _, clock = view(total=4)
    past = begun_before(tmp_path / "past", "adapter")
    live.started(past)
    live.reported(past, Report(intervals, intervals, 40, 40, 0.5, 90, (), True))
    live.ended(past, "COMPLETE", record(0.7), "")
    assert live.summary() == "1 of 4 done"
    live.started(run(1))
    clock.now = 60
    live.reported(run(1), report(1))
    live.reported(run(1), report(4))
    live.ended(run(1), "COMPLETE", record(0.7), "")
    live.started(run(2))
    assert live.summary() == "2 of 4 done, about 2 min 00 s left"


def test_a_run_that_went_on_here_counts_as_if_it_had_run_here_as_a_whole(tmp_path: Path) -> None:
    live, _, clock = view(total=2)
    half = begun_before(tmp_path / "half", "checkpoint")
    live.started(half)
    live.reported(half, report(2))
    clock.now = 20
    live.reported(half, report(4))
    live.ended(half, "COMPLETE", record(0.7), "")
    assert live.summary() == "1 of 2 done, about 40 s left"


def test_runs_that_are_not_told_again_are_neither_undone_nor_waited_for() -> None:
    stream, clock = io.StringIO(), Clock()
    live = LiveView(5, stream, clock, terminal=False, earlier=3)
    live.started(run(3))
    clock.now = 10
    live.reported(run(3), report(1))
    live.reported(run(3), report(4))
    live.ended(run(3), "COMPLETE", record(0.7), "")
    assert live.summary() == "4 of 5 done, about 10 s left"


def test_more_runs_than_were_known_are_counted_without_a_total_that_is_wrong() -> None:
    stream, clock = io.StringIO(), Clock()
    live = LiveView(1, stream, clock, terminal=False)
    for number in range(2):
        live.started(run(number))
        live.ended(run(number), "COMPLETE", record(0.7), "")
    assert live.summary().startswith("2 done")


def test_what_is_said_meanwhile_goes_where_the_runs_are_shown() -> None:
    live, stream, _ = view(terminal=True)
    with live:
        live.say("fetching [minilm]")
    assert "fetching [minilm]" in stream.getvalue()
