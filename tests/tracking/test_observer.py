from __future__ import annotations

import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lora2_search.config.run import with_settings
from lora2_search.store.rank_pattern import write_rank_pattern
from lora2_search.store.record import Flag
from lora2_search.tracking.delivery.batch import Batch
from lora2_search.tracking.delivery.sync import sync_command
from lora2_search.tracking.spool.observer import CHANGEABLE, SpoolObserver
from lora2_search.tracking.spool.spool import (
    Artifact,
    DataSet,
    End,
    Identity,
    Metrics,
    Model,
    Start,
    parent_path,
    read,
    run_path,
)
from tests.support.mlflow_study import parent, points, record, report, run, spooled, whole_run


def records(folder: Path, key: str, kind: type) -> list:
    return [item for item in read(run_path(folder, key)).records if isinstance(item, kind)]


def test_importing_the_observer_imports_no_mlflow() -> None:
    code = (
        "import sys, lora2_search.tracking.spool.observer, lora2_search.tracking.delivery.syncer,"
        " lora2_search.tracking.delivery.sync, lora2_search.tracking.ui;"
        "print([m for m in ('mlflow', 'torch', 'ray', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_run_tells_its_settings_as_flat_params_and_its_nature_as_tags(
    observer: SpoolObserver, folder: Path
) -> None:
    observer.started(run(folder, 3, arm="base"))
    (start,) = records(folder, "00003", Start)
    assert start.params["adapter.k"] == "4"
    assert float(start.params["training.lr"]) == 1e-3 / 4
    wanted = {"task": "sentiment", "model": "minilm", "method": "lora2", "seed": "0", "arm": "base"}
    assert wanted.items() <= start.tags.items()


@pytest.mark.parametrize(
    ("judged_by", "classes", "told"),
    [
        (None, ["ham", "spam"], "accuracy"),
        ("f1", ["ham", "spam"], "f1 (positive: spam)"),
        ("f1", ["a", "b", "c"], "f1 (mean over 3 classes)"),
        ("f1", [], "f1"),
    ],
)
def test_what_a_score_is_of_is_a_tag_of_the_run_and_of_its_winner(
    judged_by: str | None,
    classes: list[str],
    told: str,
    observer: SpoolObserver,
    folder: Path,
) -> None:
    info = replace(run(folder), metric=judged_by)
    done = record(info).model_copy(update={"classes": classes})
    info.folder.mkdir(parents=True)
    done.write(info.folder)
    observer.started(info)
    observer.ended(info, "COMPLETE", done, "")
    observer.close("COMPLETE", winner=info)
    (end,) = records(folder, "00000", End)
    (over,) = [item for item in read(parent_path(folder)).records if isinstance(item, End)]
    assert end.tags["metric"] == over.tags["metric"] == told


def test_the_repeated_history_after_a_resume_is_written_once(folder: Path) -> None:
    info = run(folder)
    first = SpoolObserver(folder, parent())
    first.started(info)
    first.reported(info, report(0, 20))
    first.reported(info, report(20, 40))
    again = SpoolObserver(folder, parent())
    again.started(info)
    again.reported(info, report(0, 50))
    counts = spooled(folder)
    assert sum(counts.values()) == 50 + 3  # a loss each step, a score each report
    assert set(counts.values()) == {1}


def test_times_are_those_of_the_points(observer: SpoolObserver, folder: Path) -> None:
    info = run(folder)
    observer.reported(info, report(0, 3))
    times = {
        r.step: r.time_ms for r in records(folder, "00000", Metrics) if "train/loss" in r.values
    }
    assert times == {point.step: point.time_ms for point in points(0, 3)}


@pytest.mark.parametrize(
    ("state", "told"), [("COMPLETE", True), ("PRUNED", False), ("FAIL", False)]
)
def test_a_score_is_told_of_complete_runs_only(
    observer: SpoolObserver, folder: Path, state: str, told: bool
) -> None:
    info = run(folder)
    observer.started(info)
    observer.reported(info, report(0, 20))
    observer.ended(info, state, record(info), "")
    named = {key for item in records(folder, "00000", Metrics) for key in item.values}
    assert ("score" in named) is told
    assert ("test/accuracy" in named) is told
    assert {"train/loss", "validation/accuracy"} <= named


def test_a_score_has_two_names_its_curve_and_what_the_record_says_in_the_end(
    folder: Path,
) -> None:
    info = run(folder)
    first = SpoolObserver(folder, parent())
    first.started(info)
    first.reported(info, report(0, 20, score=0.9))
    first.reported(info, report(20, 50, score=0.6))
    # A driver that was killed here: another one only learns that the run is complete.
    SpoolObserver(folder, parent()).ended(info, "COMPLETE", record(info), "")
    told = [
        (name, item.step, value)
        for item in records(folder, "00000", Metrics)
        for name, value in item.values.items()
        if "score" in name or "accuracy" in name
    ]
    assert told == [
        ("validation/accuracy", 19, 0.9),
        ("validation/accuracy", 49, 0.6),
        ("score", 49, 0.75),
        ("test/accuracy", 49, 0.7),
    ]


def test_a_run_of_a_suite_counts_with_its_test_score_one_that_tunes_with_its_validation_score(
    observer: SpoolObserver, folder: Path
) -> None:
    compared, tuning = replace(run(folder), split="test"), run(folder, 1)
    for info in (compared, tuning):
        observer.ended(info, "COMPLETE", record(info), "")
    told = [records(folder, key, Metrics)[0].values["score"] for key in ("00000", "00001")]
    assert told == [0.7, 0.75]


def test_a_run_lasts_as_long_in_mlflow_as_its_record_says(
    observer: SpoolObserver, folder: Path
) -> None:
    info = run(folder)
    observer.started(info)
    observer.started(info)  # taken up again: the pause is no part of it
    done = record(info).model_copy(update={"started_ms": 1, "timings": {"total": 155.25}})
    observer.ended(info, "COMPLETE", done, "")
    begun = records(folder, "00000", Start)[0].time_ms
    (end,) = records(folder, "00000", End)
    assert end.time_ms - begun == 155_250


def test_the_runs_own_metric_is_told_where_nothing_was_reported(
    observer: SpoolObserver, folder: Path
) -> None:
    info = replace(run(folder), metric="f1")
    done = record(info)
    done.scores |= {"validation/f1": 0.5, "test/f1": 0.4}
    done.write(_made(info.folder))
    observer.ended(info, "COMPLETE", done, "")
    observer.close("COMPLETE", winner=info)
    (told,) = records(folder, "00000", Metrics)
    assert told.values["score"] == 0.5
    named = [r.values for r in read(parent_path(folder)).records if isinstance(r, Metrics)]
    assert named == [{"score": 0.5, "test/f1": 0.4, "test/accuracy": 0.7}]


def test_what_a_resume_may_change_is_known_to_tracking() -> None:
    from lora2_search.ablation import runner
    from lora2_search.search import study

    assert set(CHANGEABLE) == {*study._FREE_ON_RESUME, *runner._FREE_ON_RESUME}


def test_the_parent_stands_for_its_winner_in_the_columns_of_the_view(folder: Path) -> None:
    """In tags, which the next winner overwrites; the rows of trials have the same tags."""
    told = SpoolObserver(folder, parent(columns=("adapter.k", "training.lr")))
    first, second = run(folder), run(folder, 3)
    for number, info in enumerate((first, second)):
        if number:
            told = SpoolObserver(folder, parent(columns=("adapter.k",)))
        whole_run(told, info)
        record(info).write(_made(info.folder))
        told.close("COMPLETE", winner=info)
    ends = [item for item in read(parent_path(folder)).records if isinstance(item, End)]
    assert [end.tags["adapter.k"] for end in ends] == ["1", "4"]
    assert [end.tags["winner"] for end in ends] == ["trial 0", "trial 3"]
    named = [r.values for r in read(parent_path(folder)).records if isinstance(r, Metrics)]
    assert named == [{"score": 0.75, "test/accuracy": 0.7}] * 2
    (start,) = records(folder, "00003", Start)
    assert start.tags["adapter.k"] == start.params["adapter.k"] == "4"
    assert start.tags["study"] == "demo"


@pytest.mark.parametrize(
    ("method", "shown", "hidden"),
    [
        ("head-only", {"training.lr"}, {"adapter.k", "adapter.r", "peft.peft_type"}),
        ("lora", {"adapter.r", "adapter.lora_alpha"}, {"adapter.k", "adapter.gamma"}),
        ("lora2", {"adapter.k", "adapter.r"}, {"adapter.loraplus_lr_ratio"}),
    ],
)
def test_a_run_shows_the_settings_that_its_method_looks_at(
    method: str, shown: set[str], hidden: set[str], observer: SpoolObserver, folder: Path
) -> None:
    info = run(folder)
    observer.started(replace(info, config=with_settings(info.config, {"method": method})))
    (start,) = records(folder, "00000", Start)
    assert shown <= start.params.keys() and not hidden & start.params.keys()
    assert ("adapter.k" in start.tags) is ("adapter.k" in shown)


@pytest.mark.parametrize(
    ("settings", "name", "source_type", "source"),
    [
        ({}, "sentiment", "local", "assets/sentiment"),
        ({"task": "rte"}, "glue/rte", "hugging_face", '"config_name": "rte"'),
        ({"task": "metamath"}, "metamath", "hugging_face", '"path": "meta-math/MetaMathQA"'),
        ({"task": "rte", "data.path": "/glue"}, "rte", "local", '"/glue"'),
        (
            {"task": "custom", "data": {"path": "a/my.csv", "text": ["t"], "label": "l"}},
            "my.csv",
            "local",
            "a/my.csv",
        ),
    ],
)
def test_a_run_and_its_parent_name_their_data(
    settings: dict, name: str, source_type: str, source: str, observer: SpoolObserver, folder: Path
) -> None:
    info = run(folder)
    info = replace(info, config=with_settings(info.config, settings))
    for number in range(2):
        observer.ended(replace(info, key=f"0000{number}"), "COMPLETE", record(info), "")
    (mine,) = records(folder, "00001", DataSet)
    (parents,) = [r for r in read(parent_path(folder)).records if isinstance(r, DataSet)]
    assert mine == parents
    assert (mine.name, mine.source_type) == (name, source_type) and source in mine.source
    assert mine.digest == "01234567" and mine.sizes["test"] == 10


def test_the_end_tells_versions_commit_device_and_reason(
    observer: SpoolObserver, folder: Path
) -> None:
    info = run(folder)
    observer.started(info)
    observer.ended(info, "PRUNED", record(info), "below the median")
    (end,) = records(folder, "00000", End)
    assert (end.state, end.reason) == ("PRUNED", "below the median")
    assert end.tags["versions"] == "python 3.11, torch 2.13"
    assert end.tags["commit"] == "abc1234"
    assert end.tags["device"] == "cpu"


@pytest.mark.parametrize("state", ["COMPLETE", "FAIL", "PRUNED"])
def test_the_end_tells_health_flags_as_tags_and_hands_over_the_rank_pattern(
    observer: SpoolObserver, folder: Path, state: str
) -> None:
    info = run(folder)
    write_rank_pattern(_made(info.folder), {"layer.0": 4}, highest=8)
    flags = [Flag(name="gradient", detail="it leapt", setting="training.lr")]
    observer.ended(info, state, record(info).model_copy(update={"flags": flags}), "")
    kept, end = records(folder, "00000", Artifact | End)
    assert (kept.path, kept.to) == ("trials/0/rank_pattern.json", "")
    assert end.tags["health.gradient"] == "it leapt; turn training.lr"
    assert [key for key in end.tags if key.startswith("health.")] == ["health.gradient"]


def test_a_run_that_fails_before_its_record_still_ends(
    observer: SpoolObserver, folder: Path
) -> None:
    observer.ended(run(folder), "FAIL", None, "worker died")
    assert [type(r) for r in read(run_path(folder, "00000")).records] == [Start, End]


def test_a_diverged_run_says_so_in_a_tag(observer: SpoolObserver, folder: Path) -> None:
    info = run(folder)
    observer.reported(info, report(0, 2, score=math.nan))
    observer.ended(info, "FAIL", None, "loss is not finite")
    (end,) = records(folder, "00000", End)
    assert end.tags["diverged"] == "true"


def test_a_run_that_goes_on_loses_the_reason_of_its_earlier_end(folder: Path) -> None:
    info = run(folder)
    first = SpoolObserver(folder, parent())
    first.ended(info, "FAIL", None, "worker died")
    SpoolObserver(folder, parent()).started(info)
    assert records(folder, "00000", Start)[-1].tags["reason"] == ""


def test_closing_stops_the_runs_under_way(observer: SpoolObserver, folder: Path) -> None:
    observer.started(run(folder))
    observer.close("STOPPED", reason="Ctrl-C")
    (end,) = records(folder, "00000", End)
    assert (end.state, end.reason) == ("STOPPED", "Ctrl-C")


def test_a_study_opened_again_keeps_its_identity(folder: Path) -> None:
    uuids = set()
    for _ in range(2):
        SpoolObserver(folder, parent()).close("STOPPED")
        uuids |= {r.uuid for r in read(parent_path(folder)).records if r.kind == "identity"}
    assert len(uuids) == 1


def test_the_winner_leaves_adapter_record_and_rank_pattern(
    observer: SpoolObserver, folder: Path
) -> None:
    info = run(folder)
    record(info).write(_made(info.folder))
    write_rank_pattern(info.folder, {"layer.0": 4}, highest=8)
    (info.folder / "adapter").mkdir()
    observer.close("COMPLETE", winner=info)
    kept = {r.path: r.to for r in read(parent_path(folder)).records if isinstance(r, Artifact)}
    assert kept == {
        "trials/0/adapter": "winner/adapter",
        "trials/0/record.json": "winner",
        "trials/0/rank_pattern.json": "winner",
    }
    (model,) = [r for r in read(parent_path(folder)).records if isinstance(r, Model)]
    assert (model.key, model.name, model.path) == ("00000", "demo trial 0", "trials/0")
    assert model.params == {"adapter.k": "1"}


def test_an_artifact_of_an_ended_run_does_not_start_it_again(
    observer: SpoolObserver, folder: Path
) -> None:
    info = run(folder)
    whole_run(observer, info)
    observer.artifact(info, info.folder / "figure.png")
    assert isinstance(records(folder, "00000", Start | End)[-1], End)


def test_a_trial_tells_its_other_objectives_and_later_its_place_on_the_front(folder: Path) -> None:
    info = replace(run(folder, 0), outcomes=("compressed_parameters", "f1"))
    told = record(info)
    told.counts, told.scores = {"compressed_adapter": 70}, {"validation/f1": 0.5}
    observer = SpoolObserver(folder, replace(parent(), outcomes=info.outcomes))
    observer.started(info)
    observer.ended(info, "COMPLETE", told, "")
    values = records(folder, info.key, Metrics)[-1].values
    assert (values["outcome/compressed_parameters"], values["validation/f1"]) == (70, 0.5)
    observer.tag(info, {"pareto": "yes"})
    observer.tag(info, {"pareto": "no"})
    sent = Batch(read(run_path(folder, info.key)).records)
    assert sent.state == "COMPLETE"
    assert sent._tags["pareto"] == "no"
    *_, identity = [r for r in read(parent_path(folder)).records if isinstance(r, Identity)]
    assert identity.outcomes[0] == "metrics.`outcome/compressed_parameters`"
    assert "tags.`pareto`" in identity.outcomes


def test_the_parents_row_has_every_objective_of_the_winner_and_its_place(folder: Path) -> None:
    info = replace(run(folder, 0), outcomes=("compressed_parameters", "f1"))
    told = record(info)
    told.counts = {"compressed_adapter": 70}
    told.scores = {"validation/accuracy": 0.75, "validation/f1": 0.5, "test/accuracy": 0.7}
    told.write(_made(info.folder))
    observer = SpoolObserver(folder, replace(parent(), outcomes=info.outcomes))
    observer.started(info)
    observer.ended(info, "COMPLETE", told, "")
    observer.tag(info, {"pareto": "yes", "feasible": "yes"})
    observer.close("COMPLETE", winner=info)
    said = read(parent_path(folder)).records
    [values] = [item.values for item in said if isinstance(item, Metrics)]
    assert values == {
        "score": 0.75,
        "test/accuracy": 0.7,
        "outcome/compressed_parameters": 70,
        "validation/f1": 0.5,
    }
    [end] = [item for item in said if isinstance(item, End)]
    assert (end.tags["pareto"], end.tags["feasible"]) == ("yes", "yes")


def test_a_full_disk_is_said_once_and_stops_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    observer = SpoolObserver(folder, parent())
    runs = folder / "tracking" / "runs"
    runs.write_text("a file where a folder should be")
    for number in range(3):
        whole_run(observer, run(folder, number))
    assert [r.message for r in caplog.records if "tracking has gaps" in r.message] != []
    assert len(caplog.records) == 1


def test_the_environment_is_never_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    observer = SpoolObserver(folder, parent())
    whole_run(observer, run(folder))
    observer.close("COMPLETE")
    written = [p for p in (folder / "tracking").rglob("*") if p.is_file()]
    assert len(written) == 2
    assert not any("hunter2" in path.read_text() for path in written)


def test_the_drivers_share_is_microseconds_a_report(observer: SpoolObserver, folder: Path) -> None:
    info = run(folder)
    observer.started(info)
    spans = []
    for first in range(0, 2000, 10):
        given = report(first, first + 10)
        begin = time.perf_counter()
        observer.reported(info, given)
        spans.append(time.perf_counter() - begin)
    assert sorted(spans)[100] < 2e-3


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_numbers_of_a_verification_itself_are_told_and_delivered_by_calling_it_again(
    folder: Path,
) -> None:
    told = SpoolObserver(folder, replace(parent(), kind="verification"))
    told.measured({"merge/merged_own": 1e-7, "odd?": 2.0})
    told.close("COMPLETE")
    points = [r for r in read(parent_path(folder)).records if isinstance(r, Metrics)]
    assert [point.values for point in points] == [{"merge/merged_own": 1e-7, "odd_": 2.0}]
    assert sync_command(folder, "sqlite:///x.db") == "the same `verify` command"
    named = folder.parents[1] / "verifications" / "mine"
    SpoolObserver(named, replace(parent(), kind="verification")).close("COMPLETE")
    assert "runs sync verifications/mine --storage" in sync_command(named, "sqlite:///x.db")
