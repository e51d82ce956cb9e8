from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from lora2_search.cli.app import app
from lora2_search.cli.commands.init import default_path
from lora2_search.config.space.schema import load_space


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def init(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


@pytest.mark.parametrize(
    ("label", "kind", "words"),
    [("verdict", "classification", "2 classes"), ("stars", "regression", "are numbers from")],
)
def test_a_file_becomes_a_valid_space_in_plain_sentences(
    label: str, kind: str, words: str, reviews_csv: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.yaml"
    result = init("--data", reviews_csv, "--model", model, "--out", out, "--label", label)
    assert result.exit_code == 0, result.output
    for said in ("240 rows", "column 'review'", f"label: column '{label}'", words, "--text COLUMN"):
        assert said in result.stdout
    assert f"tune --space {out}" in result.stdout
    space = load_space(str(out))
    assert (space.name, space.task) == ("mine", "custom")
    assert (space.data.text, space.data.label, space.data.kind) == (["review"], label, kind)
    assert space.data.path == str(reviews_csv)
    assert space.model.name_or_path == str(model)
    assert {"training.lr", "adapter.k", "adapter.target_rank"} <= set(space.search)


@pytest.mark.parametrize("rows", [12, 60, 700, 5_000])
def test_the_space_is_sized_to_the_data(
    rows: int, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = {
        "text": [f"some words for row {i}" for i in range(rows)],
        "label": [0, 1] * (rows // 2),
    }
    pd.DataFrame(table).to_csv("few.csv", index=False)
    result = init("--data", "few.csv", "--model", model)
    assert result.exit_code == 0, result.output
    training = load_space("few.yaml").training
    steps = training.epochs * rows * 0.64 / training.batch_size
    assert 2 <= training.epochs <= 20
    assert steps >= 200 or training.epochs == 20


def test_no_more_tokens_are_proposed_than_the_model_has_positions(
    model: Path, tmp_path: Path
) -> None:
    table = pd.DataFrame({"text": ["some words " * 60] * 40, "label": [0, 1] * 20})
    table.to_csv(tmp_path / "long.csv", index=False)
    (model / "config.json").write_text('{"max_position_embeddings": 40}')
    out = tmp_path / "mine.yaml"
    result = init("--data", tmp_path / "long.csv", "--model", model, "--out", out)
    assert result.exit_code == 0, result.output
    assert "inputs are cut at 40 tokens" in result.stdout
    assert load_space(str(out)).data.max_length == 40


def test_odd_column_names_survive(model: Path, tmp_path: Path) -> None:
    data = tmp_path / "odd names: #1.csv"
    texts = [f"it is sentence number {i}" for i in range(30)]
    pd.DataFrame({"review: 'text' #": texts, "yes/no": ["on", "off"] * 15}).to_csv(
        data, index=False
    )
    out = tmp_path / "out.yaml"
    result = init("--data", data, "--model", model, "--out", out)
    assert result.exit_code == 0, result.output
    space = load_space(str(out))
    assert space.data.text == ["review: 'text' #"]
    assert space.data.label == "yes/no"
    assert space.data.path == str(data)


@pytest.mark.parametrize(
    ("name", "space"),
    [("my.csv", "my.yaml"), ("my data (2).csv", "my-data-2.yaml"), ("_x.csv", "x.yaml")],
)
def test_the_space_is_named_after_the_data(name: str, space: str) -> None:
    assert default_path(Path("folder") / name) == Path(space)


def test_an_existing_space_is_kept_unless_forced(
    reviews_csv: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.yaml"
    out.write_text("mine")
    arguments = ("--data", reviews_csv, "--model", model, "--out", out, "--label", "verdict")
    result = init(*arguments)
    assert result.exit_code == 2
    assert "add --force" in result.stderr
    assert out.read_text() == "mine"
    assert init(*arguments, "--force").exit_code == 0
    assert load_space(str(out)).task == "custom"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "absent.csv"], "no file absent.csv"),
        (["--data", "{csv}", "--label", "verdct"], 'did you mean "verdict"?'),
        (["--data", "{csv}", "--text", "reveiw"], 'did you mean "review"?'),
        (["--data", "{csv}", "--label", "verdict", "--kind", "regression"], "holds words"),
        (["--data", "{csv}", "--model", "/absent/model"], "no folder /absent/model"),
        (["--data", "{csv}", "--model", "."], "holds no config.json"),
        (["--data", "{csv}", "--model", "some/model"], "from the hub"),
        (["--data", "{csv}", "--out", "absent/x.yaml"], "no folder absent"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    options: list[str],
    words: str,
    reviews_csv: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = init(*(option.format(csv=reviews_csv) for option in options))
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_rare_class_is_searched_for_by_its_f1(model: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "rare.csv", tmp_path / "rare.yaml"
    texts = [f"it is sentence number {i}" for i in range(40)]
    pd.DataFrame({"text": texts, "label": ["ok"] * 37 + ["fraud"] * 3}).to_csv(data, index=False)
    result = init("--data", data, "--model", model, "--out", out)
    assert result.exit_code == 0, result.output
    space = load_space(str(out))
    assert (space.objective.metric, space.data.positive) == ("f1", "fraud")


def test_how_a_file_was_read_stands_in_the_space(model: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "odd.csv", tmp_path / "odd.yaml"
    lines = [f"it is{', well,' * (i % 3)} number {i};{'yes' if i % 2 else 'no'}" for i in range(40)]
    data.write_text("\n".join(lines))
    result = init("--data", data, "--model", model, "--out", out)
    assert result.exit_code == 0, result.output
    told = load_space(str(out)).data
    assert (told.separator, told.header, told.text, told.label) == (";", False, ["0"], "1")
    data.write_bytes("\n".join(["text;label", *lines]).replace("well", "tja").encode("utf-16-le"))
    options = ("--data", data, "--model", model, "--out", out, "--force")
    assert init(*options).exit_code == 2
    assert init(*options, "--set", "data.encoding=utf-16-le").exit_code == 0
    assert load_space(str(out)).data.encoding == "utf-16-le"
    refused = init(*options, "--set", "adapter.k=4")
    assert refused.exit_code == 2 and "init takes data.separator" in refused.stderr
