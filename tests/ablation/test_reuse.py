from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora2_search.ablation.reuse import Circumstances, reusable, take_over
from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.schema import Resources
from lora2_search.store.record import read_record
from lora2_search.training.code import code_hash
from tests.support.finished import HERE, leave, made


@pytest.fixture
def config(reviews_csv: Path, tmp_path: Path) -> RunConfig:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    return RunConfig.model_validate(
        {
            "task": "custom",
            "data": {"path": str(reviews_csv), "text": ["review"], "label": "verdict"},
            "model": {"name_or_path": str(model)},
            "seed": 3,
        }
    )


def wanted(config: RunConfig, storage: Path, key: str = "base-seed3") -> RunInfo:
    return RunInfo(key, key, config, {}, storage / "suites" / "new" / "runs" / key)


@pytest.mark.parametrize(
    "place", ["suites/old/runs/other-name-seed3", "studies/s/trials/00004", "studies/s/reference/x"]
)
def test_a_run_is_found_in_suites_and_in_studies(
    place: str, config: RunConfig, tmp_path: Path
) -> None:
    source = leave(tmp_path / place, made(config))
    run = wanted(config, tmp_path)
    assert reusable([run], tmp_path, HERE) == {run.key: source}


def test_what_is_taken_over_is_the_new_runs_own_and_says_where_it_is_from(
    config: RunConfig, tmp_path: Path
) -> None:
    same = with_settings(config, {"training.head_lr": config.training.lr})
    source = leave(tmp_path / "suites/old/runs/x-seed3", made(same, threads=1))
    (source / "attempt.json").write_text("{}")
    run = wanted(config, tmp_path)
    record = take_over(run, source, tmp_path)
    assert record == read_record(run.folder)
    assert record.fingerprint == config.fingerprint() != same.fingerprint()
    assert RunConfig.model_validate(record.config) == config
    assert record.reused_from == "suites/old/runs/x-seed3"
    assert record.scores == made(config).scores
    assert (run.folder / "adapter" / "weights").read_text() == "x-seed3"
    assert not (run.folder / "attempt.json").exists()
    (source / "predictions.parquet").unlink()
    assert (run.folder / "predictions.parquet").read_text() == "x-seed3"
    leave(source.parent / "again", made(same)).joinpath("record.json").unlink()
    third = wanted(config, tmp_path, "third")
    assert take_over(third, run.folder, tmp_path).reused_from == "suites/old/runs/x-seed3"


def test_what_a_stopped_take_over_left_is_taken_over_anew(
    config: RunConfig, tmp_path: Path
) -> None:
    source = leave(tmp_path / "suites/old/runs/x-seed3", made(config))
    run = wanted(config, tmp_path)
    take_over(run, source, tmp_path)
    (run.folder / "record.json").unlink()
    assert reusable([run], tmp_path, HERE) == {run.key: source}
    assert take_over(run, source, tmp_path).status == "completed"


OTHER_RECORDS: list[dict[str, Any]] = [
    {"status": "running"},
    {"status": "failed", "error": "x"},
    {"status": "pruned"},
    {"data_hash": "another file"},
    {"model_hash": "other weights"},
    {"model_hash": ""},
    {"versions": {"torch": "1", "lora2_search": "1"}},
    {"versions": {"torch": "2", "lora2_search": "2"}},
    {"code_hash": "abd"},
    {"code_hash": ""},  # of a version that did not know it
    {"device": "cuda:0"},
    {"threads": 2},
    {"processes": 2},
]


@pytest.mark.parametrize("changes", OTHER_RECORDS)
def test_a_run_that_may_differ_is_not_taken(
    changes: dict[str, Any], config: RunConfig, tmp_path: Path
) -> None:
    leave(tmp_path / "suites/old/runs/x", made(config, **changes))
    assert reusable([wanted(config, tmp_path)], tmp_path, HERE) == {}


@pytest.mark.parametrize(
    "settings", [{"seed": 4}, {"adapter.k": 3}, {"training.evaluations": 7}, {"protocol": "paper"}]
)
def test_a_run_with_other_settings_is_not_taken(
    settings: dict[str, Any], config: RunConfig, tmp_path: Path
) -> None:
    leave(tmp_path / "suites/old/runs/x", made(with_settings(config, settings)))
    assert reusable([wanted(config, tmp_path)], tmp_path, HERE) == {}


@pytest.mark.parametrize("part", ["record.json", "config.json", "predictions.parquet"])
def test_a_run_of_which_a_part_is_gone_is_not_taken(
    part: str, config: RunConfig, tmp_path: Path
) -> None:
    source = leave(tmp_path / "suites/old/runs/x", made(config))
    (source / part).unlink()
    assert reusable([wanted(config, tmp_path)], tmp_path, HERE) == {}


@pytest.mark.parametrize(
    "place", [("abc", False), ("abd", False), ("abd", True), (None, None)], ids=str
)
def test_what_the_same_code_made_is_taken_whatever_its_commit_and_changes(
    place: tuple[str | None, bool | None], config: RunConfig, tmp_path: Path
) -> None:
    commit, dirty = place
    source = leave(tmp_path / "suites/old/runs/x", made(config, commit=commit, dirty=dirty))
    run = wanted(config, tmp_path)
    assert reusable([run], tmp_path, HERE) == {run.key: source}
    assert reusable([run], tmp_path, replace(HERE, code="abd")) == {}


def test_a_record_without_a_code_hash_is_not_taken_for_that_of_code_without_one(
    config: RunConfig, tmp_path: Path
) -> None:
    unknown = replace(HERE, code="")
    leave(tmp_path / "suites/old/runs/x", made(config, unknown))
    assert reusable([wanted(config, tmp_path)], tmp_path, unknown) == {}


def test_a_model_whose_files_have_other_contents_is_another(
    config: RunConfig, tmp_path: Path
) -> None:
    source = leave(tmp_path / "suites/old/runs/x", made(config))
    run = wanted(config, tmp_path)
    assert reusable([run], tmp_path, HERE) == {run.key: source}
    (Path(config.model.name_or_path) / "config.json").write_text('{"hidden_size": 8}')
    assert reusable([run], tmp_path, HERE) == {}


def test_a_run_that_has_begun_goes_on_by_itself(config: RunConfig, tmp_path: Path) -> None:
    leave(tmp_path / "suites/old/runs/x", made(config))
    run = wanted(config, tmp_path)
    leave(run.folder, made(config, status="running"))
    assert reusable([run], tmp_path, HERE) == {}


def test_circumstances_here_are_those_that_a_run_records() -> None:
    here = Circumstances.here(Resources(cpus_per_trial=2.5, gpus_per_trial=0))
    assert here.versions["lora2_search"] and here.versions["torch"]
    assert here.code == code_hash()
    assert (here.device, here.threads) == ("cpu", 2)
    assert Circumstances.here(Resources(gpus_per_trial=0.5)).device == "cuda"
