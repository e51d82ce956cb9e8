from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lora2_search.ablation.adoption import Adoption
from lora2_search.ablation.reuse import Circumstances
from lora2_search.ablation.runner import run_suite
from lora2_search.config.run import RunConfig
from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.schema import Resources
from lora2_search.config.suite.schema import Suite, validate_suite
from lora2_search.config.yaml import Source
from lora2_search.errors import ConfigError, UserError
from lora2_search.report.archive.archive import unpack_archive, write_archive
from lora2_search.report.archive.state import read_state
from lora2_search.store.record import RunRecord, read_record
from lora2_search.training.data.inputs import inputs_of
from tests.support.requests import asked_suite
from tests.support.stand_in import STEPS, StandIn
from tests.support.suites import write_run

TERMS = Resources(cpus_per_trial=1, gpus_per_trial=0)


@pytest.fixture
def plan(reviews_csv: Path, tmp_path: Path) -> Suite:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    shutil.copy(reviews_csv, tmp_path / "data.csv")
    return suite_of(tmp_path)


def suite_of(folder: Path, **changes: Any) -> Suite:
    data = {
        "name": "tiny",
        "task": "custom",
        "data": {"path": str(folder / "data.csv"), "text": ["review"], "label": "verdict"},
        "model": {"name_or_path": str(folder / "model")},
        "training": {"evaluations": 2},
        "arms": {"narrow": {"adapter.k": 2}, "head-only": {"method": "head-only"}},
        "seeds": 2,
        "resources": {"cpus_per_trial": 1.0},
    }
    return validate_suite(Source({**data, **changes}))


def finished(run: RunInfo, **changes: Any) -> RunRecord:
    """Leave what a run leaves that was trained here a moment ago."""
    here, read = Circumstances.here(TERMS), inputs_of(run.config)
    told = {
        "versions": dict(here.versions),
        "code_hash": here.code,
        "commit": "abc123",
        "device": here.device,
        "threads": here.threads,
        "scores": {"validation/accuracy": 0.7, "test/accuracy": 0.7},
        "data_hash": read.data_hash,
        "data_parts": dict(read.data_parts),
        "model_hash": read.model_hash,
        "model_files": dict(read.model_files),
    }
    right = np.random.default_rng(run.config.seed).random(40) < 0.7
    return write_run(run.folder, run.config, right, **{**told, **changes})


def begun(plan: Suite, storage: Path, keys: set[str] | None = None, **changes: Any) -> Path:
    """Leave a suite of which some runs are finished, and archive it."""
    folder = storage / "suites" / plan.name
    for run in (*plan.tuning_runs(folder), *plan.runs(folder)):
        if keys is None or run.key in keys:
            finished(run, **changes)
    plan.write(folder)
    return write_archive(folder, storage / "archive").parent


def gone_on(archive: Path, storage: Path, *overrides: str, **more: Any) -> dict[str, RunRecord]:
    chosen = asked_suite(None, resume_from=archive, storage=storage, overrides=overrides)
    with unpack_archive(archive) as source:
        adoption = Adoption(chosen.plan, source, str(archive))
        result = run_suite(
            chosen.plan, storage=storage, trainable=StandIn, adoption=adoption, **more
        )
    return dict(result.records)


def refused(archive: Path, storage: Path, *overrides: str) -> ConfigError:
    """Return why the runs of an archive are not taken, without a Ray."""
    chosen = asked_suite(None, resume_from=archive, storage=storage, overrides=overrides)
    with unpack_archive(archive) as source, pytest.raises(ConfigError) as caught:
        Adoption(chosen.plan, source, str(archive)).check(TERMS)
    return caught.value


def test_finished_runs_are_taken_and_the_rest_is_run(
    plan: Suite, tmp_path: Path, ray_here: None
) -> None:
    archive = begun(plan, tmp_path / "there", {"base-seed0", "narrow-seed0", "base-seed1"})
    assert str(read_state(archive)) == "tiny: 3 of 6 runs"
    told: list[str] = []
    records = gone_on(archive, tmp_path / "here", say=told.append)
    assert told == [f"3 of 6 runs are taken from {archive}, not trained again"]
    assert len(records) == 6 and all(r.status == "completed" for r in records.values())
    taken = {key for key, record in records.items() if record.taken_from == str(archive)}
    assert taken == {"base-seed0", "narrow-seed0", "base-seed1"}
    runs = tmp_path / "here" / "suites" / "tiny" / "runs"
    trained = {path.parent.name for path in runs.glob(f"*/{STEPS}")}
    assert trained == set(records) - taken
    there = tmp_path / "there" / "suites" / "tiny" / "runs" / "base-seed0"
    first = pd.read_parquet(there / "predictions.parquet").query("split == 'test'")
    taken_first = pd.read_parquet(runs / "base-seed0" / "predictions.parquet")
    assert taken_first.to_dict("list") == first.to_dict("list")
    assert json.loads((runs / "base-seed0" / "config.json").read_text()) == plan.runs(Path())[
        0
    ].config.model_dump(mode="json")


def test_what_is_no_result_is_run_anew(plan: Suite, tmp_path: Path, ray_here: None) -> None:
    folder = tmp_path / "there" / "suites" / "tiny"
    first, second, third, *_ = plan.runs(folder)
    finished(first, status="failed", error="OSError: disk full")
    finished(second, status="running")
    finished(third)
    (third.folder / "predictions.parquet").unlink()
    plan.write(folder)
    archive = write_archive(folder, tmp_path / "archive").parent
    records = gone_on(archive, tmp_path / "here")
    assert not any(record.taken_from for record in records.values())
    assert all(record.status == "completed" for record in records.values())


OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "code": ({"code_hash": "x"}, "code: other code made the runs; .*: git checkout abc123$"),
    "changed code": (
        {"code_hash": "x", "dirty": True},
        "code: other code made the runs: commit abc123, with changes that are not in it",
    ),
    "not a checkout": ({"code_hash": "x", "commit": None}, "code: .* in a package that is no"),
    "an earlier version": ({"code_hash": ""}, "code: the runs do not say which code made them"),
    "a library": ({"versions": {"torch": "0.1"}}, "torch: version 0.1 made the runs, this is"),
    "a GPU": ({"device": "cuda:0"}, "device: the runs were made on cuda, not cpu"),
    "threads": ({"threads": 4}, "threads: the runs had 4, .* --set resources.cpus_per_trial=4"),
    "processes": ({"processes": 2}, "the runs had 2, .* --set resources.devices_per_trial=2"),
    "sentences": (
        {"data_hash": "x", "data_parts": {"texts": "x"}},
        "data.path: .*data.csv: its texts changed",
    ),
    "labels": ({"data_hash": "x", "data_parts": {"labels": "x"}}, "its labels changed"),
    "split": ({"data_hash": "x", "data_parts": {"split": "x"}}, "its split changed"),
    "unknown part": ({"data_hash": "x", "data_parts": {}}, "its texts, labels or split changed"),
    "weights": (
        {"model_hash": "x", "model_files": {"config.json": "x", "model.safetensors": "y"}},
        "model.name_or_path: .*model: config.json, model.safetensors changed",
    ),
}


@pytest.mark.parametrize("what", OTHER)
def test_runs_that_would_come_out_otherwise_here_are_refused(
    what: str, plan: Suite, tmp_path: Path
) -> None:
    changes, words = OTHER[what]
    archive = begun(plan, tmp_path / "there", {"base-seed0", "head-only-seed0"}, **changes)
    told = str(refused(archive, tmp_path / "here"))
    assert re.search(f"(?m)^{archive}: .*{words}", told), told


def test_what_is_refused_leaves_nothing_behind(plan: Suite, tmp_path: Path, ray_here: None) -> None:
    archive = begun(plan, tmp_path / "there", {"base-seed0"}, code_hash="x")
    with pytest.raises(ConfigError, match="code: other code"):
        gone_on(archive, tmp_path / "here")
    assert not (tmp_path / "here" / "suites" / "tiny").exists()


def test_all_that_differs_is_told_together_with_how_many_runs_it_is(
    plan: Suite, tmp_path: Path
) -> None:
    folder = tmp_path / "there" / "suites" / "tiny"
    first, second, third, *_ = plan.runs(folder)
    finished(first, code_hash="x", threads=4)
    finished(second, threads=4)
    finished(third)
    plan.write(folder)
    archive = write_archive(folder, tmp_path / "archive").parent
    code, threads = refused(archive, tmp_path / "here").problems
    assert code.message.endswith("(in 1 of 3 runs, runs/base-seed0 among them)")
    assert threads.message.endswith("(in 2 of 3 runs, runs/base-seed0 among them)")


def test_a_run_with_other_settings_than_the_suite_says_is_refused(
    plan: Suite, tmp_path: Path
) -> None:
    archive = begun(plan, tmp_path / "there", {"base-seed0"})
    text = (archive / "suite.yaml").read_text().replace("evaluations: 2", "evaluations: 3")
    (archive / "suite.yaml").write_text(text)
    told = str(refused(archive, tmp_path / "here"))
    assert "training.evaluations: the runs had 2, this suite says 3" in told


def test_data_and_model_may_lie_elsewhere(plan: Suite, tmp_path: Path) -> None:
    archive = begun(plan, tmp_path / "there", {"base-seed0"})
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "model", moved / "model")
    shutil.move(tmp_path / "data.csv", moved / "data.csv")
    places = [f"data.path={moved}/data.csv", f"model.name_or_path={moved}/model"]
    chosen = asked_suite(None, resume_from=archive, overrides=places)
    with unpack_archive(archive) as source:
        adoption = Adoption(chosen.plan, source, str(archive))
        adoption.check(TERMS)
        adoption.take(tmp_path / "here")
    first = read_record(tmp_path / "here" / "runs" / "base-seed0")
    assert first is not None and first.taken_from
    assert RunConfig.model_validate(first.config).data.path == str(moved / "data.csv")
    assert first.fingerprint == RunConfig.model_validate(first.config).fingerprint()
    # Other sentences there are told, although the settings are the same.
    text = (moved / "data.csv").read_text()
    (moved / "data.csv").write_text(text.replace("film", "book"))
    told = str(refused(archive, tmp_path / "there too", *places))
    assert "data.csv: its texts changed" in told


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"overrides": ["training.lr=0.5"]}, "started with other settings .training"),
    ({"overrides": ["seeds=[5, 6]"]}, "may add seeds but must keep"),
    ({"what": "quick"}, "name one of the three"),
    ({"resume": "tiny"}, "name one of the three"),
    ({"from_study": "x"}, "name one of the three"),
    ({"add_seeds": 2}, "use resume NAME with add_seeds N; .* overrides=\\['seeds=N'\\]"),
    ({"until_decided": True}, "was started with a fixed number of seeds"),
]


@pytest.mark.parametrize("changes, words", CHANGES)
def test_only_its_name_seeds_and_resources_may_change(
    changes: dict[str, Any], words: str, plan: Suite, tmp_path: Path
) -> None:
    archive = begun(plan, tmp_path / "there", {"base-seed0"})
    given = {"storage": tmp_path / "here", **changes}
    with pytest.raises(UserError, match=words):
        asked_suite(resume_from=archive, **given)


def test_a_name_in_use_is_refused_with_what_would_be_right(plan: Suite, tmp_path: Path) -> None:
    archive = begun(plan, tmp_path, {"base-seed0"})
    with pytest.raises(UserError, match=r"tiny exists .* resume it with resume='tiny'"):
        asked_suite(None, resume_from=archive, storage=tmp_path)
    assert asked_suite(None, resume_from=archive, storage=tmp_path, name="x").plan.name == "x"


def test_a_folder_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not an archive of a suite"):
        asked_suite(None, resume_from=tmp_path)


def test_added_seeds_are_noted_as_added(plan: Suite, tmp_path: Path) -> None:
    archive = begun(plan, tmp_path / "there", {"base-seed0"})
    grown = asked_suite(None, resume_from=archive, overrides=["seeds=3"]).plan
    assert (grown.seed_list, grown.added_seeds) == ([0, 1, 2], [2])


def test_a_suite_that_runs_until_it_is_decided_keeps_the_seeds_that_it_has(
    plan: Suite, tmp_path: Path
) -> None:
    looking = plan.model_copy(update={"until_decided": True, "seeds": [0, 1, 2, 3]})
    archive = begun(looking, tmp_path / "there", {"base-seed0"})
    again = asked_suite(None, resume_from=archive).plan
    assert again.until_decided and again.seed_list == [0, 1, 2, 3]


TUNING = {"arms": {"base": {"training.lr": [1e-3, 2e-3]}, "narrow": {"adapter.r": [4, 8]}}}


@pytest.mark.parametrize("tuned", [False, True])
def test_tuning_runs_are_taken_whether_arms_are_tuned_yet_or_not(
    tuned: bool, plan: Suite, tmp_path: Path, ray_here: None
) -> None:
    plan = suite_of(tmp_path, tuning={**TUNING, "seeds": 1})
    storage = tmp_path / "there"
    archive = begun(plan, storage, {r.key for r in plan.tuning_runs(Path())})
    if tuned:
        # The base has a tuned rate, which the trials of the other arm did not have.
        folder = storage / "suites" / "tiny"
        trial = folder / "tuning" / "narrow-1-seed1000"
        record = read_record(trial)
        assert record is not None
        record.model_copy(update={"status": "failed", "error": "Diverged: x"}).write(trial)
        chosen = {"base": {"training.lr": 2e-3}, "narrow": {"adapter.r": 4}}
        plan.with_tuned(chosen).write(folder)
        write_archive(folder, archive)
    assert "4 of 4" in str(read_state(archive)) or tuned
    told: list[str] = []
    gone_on(archive, tmp_path / "here", say=told.append)
    assert told[0] == f"0 of 6 runs and 4 tuning runs are taken from {archive}, not trained again"
    folders = list((tmp_path / "here" / "suites" / "tiny" / "tuning").iterdir())
    assert len(folders) == 4 and not any((path / STEPS).exists() for path in folders)


def test_what_a_stopped_take_left_is_taken_anew(
    plan: Suite, tmp_path: Path, ray_here: None
) -> None:
    archive = begun(plan, tmp_path / "there")
    with unpack_archive(archive) as source:
        Adoption(plan, source, "x").take(tmp_path / "here" / "suites" / "tiny")
    (tmp_path / "here" / "suites" / "tiny" / "runs" / "base-seed0" / "record.json").unlink()
    records = gone_on(archive, tmp_path / "here")
    assert all(record.taken_from == str(archive) for record in records.values())


def test_a_published_table_comes_along(plan: Suite, tmp_path: Path) -> None:
    folder = tmp_path / "there" / "suites" / "tiny"
    begun(plan, tmp_path / "there")
    (folder / "published.csv").write_text("arm,metric,published,source\nbase,accuracy,91.2,x\n")
    archive = write_archive(folder, tmp_path / "archive").parent
    with unpack_archive(archive) as source:
        Adoption(plan, source, "x").take(tmp_path / "here")
    assert "91.2" in (tmp_path / "here" / "published.csv").read_text()
