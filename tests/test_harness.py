"""The same problems, scored here and by lm-evaluation-harness."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import compare, of_run
from lora2_search import api
from lora2_search.training.loop.run import run
from tests.support.language import settings


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def questions(path: Path, completions: Path) -> Path:
    """Write prompts with options, each of which is the right one of every third prompt."""
    options = ["positive", "negative film", "good"]
    lines = completions.read_text().splitlines()[:90]
    return written(
        path,
        [
            {"prompt": json.loads(line)["prompt"], "options": options, "answer": options[i % 3]}
            for i, line in enumerate(lines)
        ],
    )


def problems(path: Path, trained_on: Path) -> Path:
    """Write prompts of which a run called mine answers about every other one right."""
    said: Any = api.evaluate("mine", trained_on).scored.said
    assert len(set(said.generated)) > 1
    return written(
        path,
        [
            {"prompt": prompt, "completion": text if i % 2 and text.strip() else "dull cast"}
            for i, (prompt, text) in enumerate(zip(said.prompts, said.generated, strict=True))
        ],
    )


@pytest.mark.long
@pytest.mark.skipif(
    find_spec("lm_eval") is None,
    reason="needs lm-evaluation-harness: pip install lm_eval==0.4.13",
)
@pytest.mark.parametrize("kind", ["generation", "choice"])
def test_lm_evaluation_harness_gives_the_same_verdict_on_every_problem(
    kind: str, tiny_llama: Path, completions: Path, own_home: Path, tmp_path: Path, capfd: Any
) -> None:
    file = questions(tmp_path / "rows.jsonl", completions) if kind == "choice" else completions
    run(settings(tiny_llama, file, data__kind=kind), own_home / "runs" / "mine")
    asked = file if kind == "choice" else problems(tmp_path / "rows.jsonl", completions)
    scored = of_run("mine", str(asked), 100, tmp_path)
    assert compare(scored, tmp_path), capfd.readouterr().out
    assert 0 < scored.said.right.mean() < 1
