from __future__ import annotations

from pathlib import Path

from lora2_search.analysis.history import stopped_trials, timeline, trial_history
from lora2_search.analysis.study import read_study_table
from lora2_search.config.run import RunConfig
from tests.support.studies import State, write_trials
from tests.support.suites import write_run


def test_only_complete_trials_raise_the_best_so_far(tmp_path: Path) -> None:
    folder = write_trials(
        tmp_path,
        [
            {"state": State.FAIL},
            {"values": [0.5, 0.6]},
            {"state": State.PRUNED, "values": [0.9, float("nan")]},
            {"values": [0.7, 0.55]},
            {"values": [0.4, 0.8]},
            {"state": State.RUNNING},
        ],
    )
    points = trial_history(read_study_table(folder).trials)
    assert [point.score for point in points] == [None, 0.6, 0.9, 0.55, 0.8, None]
    assert [point.best for point in points] == [None, 0.6, 0.6, 0.6, 0.8, 0.8]


def when(start: int, end: int | None) -> dict[str, int | None]:
    return {"started_ms": 1000 * start, "ended_ms": None if end is None else 1000 * end}


def test_runs_that_overlap_take_workers_of_their_own(tmp_path: Path) -> None:
    folder = write_trials(
        tmp_path,
        [
            {"values": [0.6], **when(20, 50)},
            {"values": [0.6], **when(40, 45)},
            {"values": [0.6], **when(45, 60)},
            {"values": [0.6], **when(30, 31), "reused_from": "suites/quick/runs/base-seed0"},
            {"state": State.RUNNING, **when(55, None), "timings": {"total": 12.0}, "history": []},
        ],
    )
    floor = RunConfig(task="sentiment", method="head-only")
    write_run(folder / "reference" / "head-only", floor, **when(10, 20))
    spans = timeline(read_study_table(folder))
    assert [(span.name, span.worker) for span in spans] == [
        ("head-only", 0),
        ("trial 0", 0),
        ("trial 1", 1),
        ("trial 2", 1),
        ("trial 4", 0),
    ]
    assert [(span.start, span.end) for span in spans][1:] == [
        (10, 40),
        (30, 35),
        (35, 50),
        (45, 57),
    ]
    assert [span.state for span in spans][-1] == "RUNNING"


def test_a_stopped_trial_is_ranked_among_those_that_came_as_far(tmp_path: Path) -> None:
    folder = write_trials(
        tmp_path,
        [
            {"values": [0.5, 0.6, 0.9]},
            {"state": State.PRUNED, "values": [0.4, 0.55], "reason": "weaker than others"},
            {"state": State.PRUNED, "values": [0.45]},
            {"state": State.FAIL, "error": "Diverged: no finite loss"},
        ],
    )
    weak, early, failed = stopped_trials(read_study_table(folder))
    assert (weak.evaluation, weak.score, weak.rank, weak.among, weak.best) == (2, 0.55, 2, 2, 0.6)
    assert (early.evaluation, early.rank, early.among) == (1, 2, 3)
    assert weak.reason == "weaker than others" and failed.reason == "Diverged: no finite loss"
    assert (failed.evaluation, failed.score, failed.rank) == (0, None, None)
