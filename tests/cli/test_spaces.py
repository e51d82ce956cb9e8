"""``spaces`` lists, shows and checks; ``init`` names the schema for editors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from lora2_search.cli.app import app
from lora2_search.config.space.json_schema import space_schema


def cli(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_shipped_spaces_and_those_of_a_folder_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("extends: quickstart.yaml\ntrials: 3\n")
    Path("broken.yaml").write_text("extends: quickstart.yaml\ntrials: 0\n")
    Path("run.yaml").write_text("task: sentiment\n")
    rows = {row["name"]: row for row in json.loads(cli("spaces", "list", "--json").stdout)}
    assert {name for name, row in rows.items() if not row["shipped"]} == {
        "mine.yaml",
        "broken.yaml",
    }
    assert rows["rte.yaml"]["shipped"] and "_glue.yaml" not in rows
    assert (rows["mine.yaml"]["trials"], rows["mine.yaml"]["model"]) == (3, "minilm")
    assert "trials" in rows["broken.yaml"]["problem"]
    table = cli("spaces", "list", tmp_path).stdout
    assert "adapter.target_rank" in table and "mine.yaml" in table
    assert "no folder nowhere" in cli("spaces", "list", "nowhere", code=2).stderr


def test_a_space_is_shown_with_what_it_extends() -> None:
    shown = yaml.safe_load(cli("spaces", "show", "rte", "--set", "adapter.r=8").stdout)
    assert (shown["adapter"]["r"], shown["adapter"]["beta1"]) == (8, 0.85)
    assert "adapter.r" not in shown["search"] and shown["training"]["evaluations"] == 10
    assert json.loads(cli("spaces", "show", "rte", "--json").stdout)["trials"] == 40
    assert 'did you mean "rte"' in cli("spaces", "show", "rt", code=2).stderr


def test_all_mistakes_of_all_spaces_are_told_with_their_lines(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("extends: quickstart.yaml\ntrials: 0\nsampler: {name: tpes}\n")
    result = cli("spaces", "check", "quickstart", wrong, code=2)
    assert "quickstart: ok" in result.stdout
    assert f"{wrong}:2: trials" in result.stderr and f"{wrong}:3: sampler.name" in result.stderr
    assert f"1 of 2 cannot be searched: {wrong}" in result.stderr
    told = json.loads(cli("spaces", "check", wrong, "--json", code=2).stdout)[str(wrong)]
    assert not told["ok"] and len(told["problems"]) == 2


def test_init_names_the_schema_of_this_version_in_the_first_line(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    out = tmp_path / "my.yaml"
    cli("init", "--data", reviews_csv, "--model", tiny_bert, "--label", "verdict", "--out", out)
    first = out.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=file://")
    schema = json.loads(Path(first.partition("file://")[2]).read_text())
    assert schema == space_schema() == json.loads(cli("spaces", "schema").stdout)
    cli("spaces", "check", out)
