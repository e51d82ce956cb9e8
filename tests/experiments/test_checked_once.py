"""A space is checked once, however it is given and whether it is new or goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lora2_search import api
from lora2_search.cli.app import app
from lora2_search.config.space import schema as spaces
from lora2_search.config.suite import schema as suites
from lora2_search.errors import ConfigError
from tests.support.ray_here import ray_here, workers_find_tests

__all__ = ["ray_here", "workers_find_tests"]

LR = {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}


def tiny(model: Path, data: Path) -> dict[str, Any]:
    return {
        "name": "tiny",
        "task": "custom",
        "data": {"path": str(data), "text": ["review"], "label": "verdict"},
        "model": {"name_or_path": str(model)},
        "training": {"steps": 2, "evaluations": 1, "device": "cpu"},
    }


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was checked, in order."""
    seen: list[str] = []
    for module, what in ((spaces, "space"), (suites, "suite")):
        whole = module.semantic_problems

        def counted(*given: Any, whole: Any = whole, what: str = what) -> Any:
            seen.append(what)
            return whole(*given)

        monkeypatch.setattr(module, "semantic_problems", counted)
    return seen


def cli(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_a_space_is_checked_once_in_a_tune_and_once_in_its_resume(
    checks: list[str],
    tiny_bert: Path,
    reviews_csv: Path,
    home_with_store: Path,
    tmp_path: Path,
    ray_here: None,
) -> None:
    told = {**tiny(tiny_bert, reviews_csv), "search": {"training.lr": LR}, "trials": 1}
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(told))
    cli("tune", file)
    assert checks == ["space"]
    cli("tune", "--resume", "tiny", "--trials", 2)
    assert checks == ["space"] * 2
    study = api.tune(spaces.Space.model_validate({**told, "name": "object"}))
    assert checks == ["space"] * 3
    assert [trial.state for trial in study.trials] == ["COMPLETE"]


@pytest.mark.slow
def test_a_suite_is_checked_once(
    checks: list[str],
    tiny_bert: Path,
    reviews_csv: Path,
    home_with_store: Path,
    tmp_path: Path,
    ray_here: None,
) -> None:
    arms = {"flat": {"adapter.gamma": 0}, "head-only": {"method": "head-only"}}
    told = {**tiny(tiny_bert, reviews_csv), "arms": arms, "seeds": 2}
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(told))
    cli("ablate", file)
    assert checks == ["suite"]
    cli("ablate", "--resume", "tiny", "--add-seeds", 1)
    assert checks == ["suite"] * 2


def test_an_object_that_cannot_run_is_refused_like_a_file(
    tiny_bert: Path, reviews_csv: Path, own_home: Path
) -> None:
    told = {**tiny(tiny_bert, reviews_csv), "search": {"training.lr": LR}}
    with pytest.raises(ConfigError, match="trials"):
        api.tune(spaces.Space.model_validate(told))
    with pytest.raises(ConfigError, match="arms"):
        api.ablate(suites.Suite.model_validate({**tiny(tiny_bert, reviews_csv), "arms": {}}))
    assert list(own_home.iterdir()) == []
