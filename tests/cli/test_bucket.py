"""Commands whose ``--storage`` is a bucket, as two people on two machines give them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora2_search.store.environment import variables
from tests.support.afterwards import searched
from tests.support.bucket import bucket, s3
from tests.support.commands import run
from tests.support.exactly_once import assert_every_point_once

__all__ = ["bucket", "s3"]


@pytest.fixture
def space(tiny_bert: Path, reviews_csv: Path, tmp_path: Path) -> Path:
    return searched(tmp_path, tiny_bert, reviews_csv)


@pytest.mark.slow
def test_what_one_machine_searched_another_shows_exports_and_goes_on_with(
    bucket: str, space: Path, tmp_path: Path
) -> None:
    words = ("--storage", bucket)
    with variables({"LORA2_SEARCH_HOME": str(tmp_path / "first")}):
        assert f"train --from-study mine --storage {bucket}" in run("tune", space, *words).stdout
    second = tmp_path / "second"
    with variables({"LORA2_SEARCH_HOME": str(second)}):
        shown = json.loads(run("runs", "show", "mine", *words, "--json").stdout)
        assert [row["state"] for row in shown["runs"]] == ["completed"] * 3
        assert not list(second.rglob("adapter_model.safetensors"))
        run("export", "mine", "--out", tmp_path / "lora", *words)
        assert (tmp_path / "lora" / "adapter_model.safetensors").is_file()
        run("report", "mine", *words)
        run("tune", "--resume", "mine", "--trials", 3, *words)
    with variables({"LORA2_SEARCH_HOME": str(tmp_path / "first")}):
        listed = json.loads(run("runs", "list", *words, "--json").stdout)
        assert [row["runs"] for row in listed] == ["3 completed"]
        (folder,) = (tmp_path / "first").glob("copies/*/studies/mine")
    assert_every_point_once(folder)


def test_a_storage_that_is_no_bucket_and_no_folder_is_refused_before_anything_is_written(
    own_home: Path,
) -> None:
    said = run("runs", "list", "--storage", "sqlite:///study.db", code=2).stderr
    assert "sqlite:///study.db is no storage: name a folder, or a bucket" in " ".join(
        said.replace("│", " ").split()
    )
    assert not (own_home / "copies").exists()
