"""``export`` on runs, folders and studies, and what cannot be exported."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from lora2_search.cli.app import app
from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.space.schema import load_space
from lora2_search.store.record import read_record
from lora2_search.training.loop.run import run
from tests.experiments.test_named import tell


def cli(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def trained(folder: Path, model: Path, data: Path, **change: Any) -> None:
    config = with_settings(
        RunConfig(task="sentiment"),
        {
            "task": "custom",
            "data.path": str(data),
            "data.text": ["review"],
            "data.label": "verdict",
            "model.name_or_path": str(model),
            **{"adapter.k": 4, "adapter.r": 4, "adapter.target_rank": 2},
            **{"training.steps": 6, "training.evaluations": 1, "training.device": "cpu"},
            **change,
        },
    )
    run(config, folder)


@pytest.fixture
def mine(tiny_bert: Path, reviews_csv: Path, own_home: Path) -> Path:
    """A run called mine, complete."""
    trained(own_home / "runs" / "mine", tiny_bert, reviews_csv)
    return own_home / "runs" / "mine"


def readme_code(folder: Path) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    return str(code)


@pytest.mark.parametrize("form", ["lora", "pruned"])
def test_a_run_is_exported_with_the_counts_of_its_record_and_code_that_loads_it(
    form: str, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    out = tmp_path / "out"
    result = cli("export", "mine", "--as", form, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    told, record = json.loads(result.stdout), read_record(mine)
    assert record is not None
    counts = told["counts"]
    for name in ("trained_adapter", "kept_adapter", "compressed_adapter"):
        assert counts[name] == record.counts[name]
    assert counts["head"] == record.counts["trained_head"]
    written = load_file(out / "adapter_model.safetensors")
    size = sum(tensor.numel() for tensor in written.values())
    expected = counts["compressed_adapter" if form == "lora" else "kept_adapter"]
    assert size == expected + counts["head"]
    assert told["bytes_after"] == (out / "adapter_model.safetensors").stat().st_size
    assert told["bytes_after"] < told["bytes_before"]

    said = []
    for folder in (mine / "adapter", out):
        monkeypatch.chdir(folder)
        exec(readme_code(folder).replace(".argmax(-1)", ""), {})
        said.append(capsys.readouterr().out)
    numbers = [[float(x) for x in re.findall(r"-?\d+\.\d+", text)] for text in said]
    assert numbers[0] == pytest.approx(numbers[1], abs=1.1e-4) and len(numbers[0]) == 2
    assert ("lora2_search" in readme_code(out)) == (form == "pruned")


def test_people_are_told_counts_sizes_and_how_to_load_it(mine: Path, tmp_path: Path) -> None:
    for what in (mine, mine / "adapter"):
        out = tmp_path / f"out-{what.name}"
        result = cli("export", what, "--out", out)
        assert result.exit_code == 0, result.output
        for part in ("as a plain LoRA", "trained ", "kept ", "compressed ", "MiB, before"):
            assert part in result.stdout
        assert repr(str(out)) in result.stdout
    moved = tmp_path / "elsewhere"
    (mine / "adapter").rename(moved)
    result = cli("export", moved, "--as", "pruned", "--out", tmp_path / "bare")
    assert result.exit_code == 0, result.output
    assert "import lora2_search.adapter" in readme_code(tmp_path / "bare")


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("lora", "holds a LORA adapter, not LoRA²"),
        ("head-only", "its method is head-only"),
        ("full", "its method is full"),
    ],
)
def test_what_is_no_lora2_adapter_is_refused(
    method: str, says: str, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    trained(tmp_path / "run", tiny_bert, reviews_csv, method=method)
    result = cli("export", tmp_path / "run", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert says in result.stderr
    assert not (tmp_path / "out").exists()


def test_wrong_names_and_folders_in_use_are_told_in_words(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("")
    cases = [
        (("export", "nine", "--out", tmp_path / "out"), "nothing called nine"),
        (("export", tmp_path / "used", "--out", tmp_path / "out"), "holds no adapter"),
        (("export", "mine", "--out", tmp_path / "used"), "not empty"),
        (("export", "mine", "--out", tmp_path / "used" / "file"), "not empty"),
        (("export", "mine"), "Missing option"),
    ]
    for arguments, says in cases:
        result = cli(*arguments)
        assert result.exit_code == 2 and says in result.stderr, result.output


def test_a_broken_adapter_and_an_unfinished_run_are_told_in_words(
    mine: Path, tmp_path: Path
) -> None:
    config = mine / "adapter" / "adapter_config.json"
    text = config.read_text()
    config.write_text("{")
    result = cli("export", "mine", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "no readable adapter_config.json" in result.stderr
    config.write_text(text)
    record = json.loads((mine / "record.json").read_text())
    (mine / "record.json").write_text(json.dumps(record | {"status": "running"}))
    result = cli("export", "mine", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "not complete (running)" in result.stderr


def test_a_studys_winner_is_exported(tiny_bert: Path, reviews_csv: Path, tmp_path: Path) -> None:
    study = tmp_path / "studies" / "quick"
    for number, method in enumerate(("head-only", "lora2")):
        trained(study / "trials" / f"{number:05d}", tiny_bert, reviews_csv, method=method)
    load_space("quickstart", ["name=quick"]).write(study)
    tell(study, [("COMPLETE", 0.7), ("COMPLETE", 0.8)])
    result = cli("export", "quick", "--storage", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "trial 1 of study quick as a plain LoRA" in result.stdout
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()


def test_a_merged_classifier_loads_alone_with_its_head_and_its_classes(
    mine: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    from lora2_search.training.export.reload import reload_model
    from lora2_search.training.models.load import load_base

    cli("export", "mine", "--merge", "--out", tmp_path / "out")
    record = read_record(mine)
    assert record is not None
    config = RunConfig.model_validate(record.config)
    ours = reload_model(load_base(config.model, 2), config, mine / "adapter").eval()
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    tokens = torch.tensor([[2, 5, 9, 20, 3], [2, 12, 30, 7, 3]])
    torch.testing.assert_close(theirs(tokens).logits, ours(tokens).logits, rtol=0, atol=1e-5)
    assert theirs.config.id2label == {0: "bad", 1: "good"}
