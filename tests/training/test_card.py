from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lora2_search.training.loop.run import run
from tests.training.test_run import settings


@pytest.mark.parametrize("method", ["lora2", "lora", "head-only"])
@pytest.mark.parametrize(
    "change",
    [{}, {"data.label": "stars"}, {"data.text": ["review", "stars"], "model.layers": 1}],
    ids=["classes", "numbers", "pairs"],
)
def test_the_code_in_an_adapters_readme_loads_it_in_a_fresh_process(
    method: str, change: dict[str, Any], tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    if method != "lora2" and change:
        pytest.skip("the cases differ by task alone")
    run(settings(tiny_bert, reviews_csv, method=method, **change), tmp_path)
    readme = (tmp_path / "adapter" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "adapter", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tensor([")
    assert "test/" in readme


@pytest.mark.parametrize("method", ["dora", "adalora", "full"])
def test_so_does_the_code_of_the_other_methods(
    method: str,
    tiny_bert: Path,
    reviews_csv: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = run(settings(tiny_bert, reviews_csv, method=method), tmp_path)
    readme = (tmp_path / "adapter" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert "lora2_search" not in code and ("PeftModel" in code) == (method != "full")
    monkeypatch.chdir(tmp_path / "adapter")
    made: dict[str, Any] = {}
    exec(code, made)
    config = made["model"].config
    assert [config.id2label[index] for index in range(2)] == record.classes
    assert config.label2id == {name: index for index, name in enumerate(record.classes)}
    assert capsys.readouterr().out.startswith("tensor([")
    assert ("newly initialised" in readme) == (method != "full")
