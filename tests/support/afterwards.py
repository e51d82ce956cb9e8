"""A home with a study, two suites and single runs, each trained for a moment; made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.space.schema import load_space
from lora2_search.config.suite.schema import load_suite
from lora2_search.store.record import RunRecord
from lora2_search.training.loop.run import run
from tests.experiments.test_named import tell

ARMS = {"no-regulariser": {"adapter.gamma": 0}}


def base(model: Path, data: Path) -> dict[str, Any]:
    return {
        "task": "custom",
        "data": {"path": str(data), "text": ["review"], "label": "verdict"},
        "model": {"name_or_path": str(model)},
        "adapter": {"k": 4, "r": 4, "target_rank": 2},
        "training": {"steps": 4, "evaluations": 2, "device": "cpu", "lr": 1e-2},
    }


def searched(folder: Path, model: Path, data: Path, **training: Any) -> Path:
    """Write a search of two trials, whose `training` has these settings too: ``mine.yaml``."""
    plan = base(model, data)
    plan["training"] |= training
    plan["search"] = {"adapter.k": {"type": "int", "low": 2, "high": 4}}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**plan, "trials": 2, "scheduler": {"name": "none"}}))
    return path


def make_home(home: Path, model: Path, data: Path, scratch: Path) -> None:
    plan = base(model, data)
    config = RunConfig.model_validate(plan)

    def trained(folder: Path, **settings: Any) -> RunRecord:
        return run(with_settings(config, settings), folder)

    trained(home / "runs" / "mine", seed=3)
    study = home / "studies" / "quick"
    ended: list[tuple[str, float | None]] = []
    for number, k in enumerate((2, 4, 8)):
        record = trained(study / "trials" / f"{number:05d}", **{"adapter.k": k})
        ended.append(("COMPLETE", record.score("validation")))
    trained(study / "reference" / "head-only", method="head-only")
    written = scratch / "space.yaml"
    search = {"adapter.k": {"type": "int", "low": 2, "high": 8}}
    scheduler = {"scheduler": {"name": "none"}, "trials": 3}
    written.write_text(yaml.safe_dump({**plan, "search": search, **scheduler}))
    load_space(str(written), ["name=quick"]).write(study)
    tell(study, ended)
    for name, arms in (("parts", ARMS), ("parts-2", {**ARMS, "wide": {"adapter.k": 8}})):
        path = scratch / f"{name}.yaml"
        path.write_text(
            yaml.safe_dump({**plan, "arms": arms, "seeds": 2, "name": name, "floor": None})
        )
        suite = load_suite(str(path), [])
        for info in suite.runs(home / "suites" / name):
            run(info.config, info.folder)
        suite.write(home / "suites" / name)
