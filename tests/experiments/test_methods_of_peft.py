"""Every shorthand and more types of PEFT go through `train`, `tune` and `ablate` alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peft import PeftConfig

from lora2_search import api
from lora2_search.config.run import RunConfig, validate
from lora2_search.config.space.schema import Space
from lora2_search.config.suite.schema import Suite
from lora2_search.config.yaml import Source
from lora2_search.store.record import RunRecord, read_record
from tests.support.ray_here import ray_here, workers_find_tests

__all__ = ["ray_here", "workers_find_tests"]

SHORTHANDS = ("lora", "rslora", "pissa", "lora-plus", "dora", "adalora")

BY_NAME: dict[str, dict[str, Any]] = {
    "OFT": {"oft_block_size": 4},
    "LOHA": {"r": 3},
    "ADALORA": {"init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 2},
}

SETTINGS: dict[str, dict[str, Any]] = {
    **{name: {"method": name} for name in SHORTHANDS},
    **{
        name: {"method": "peft", "peft": {"peft_type": name, **own}}
        for name, own in BY_NAME.items()
    },
}

# From this seed on, six draws are of six methods.
SAMPLER = {"name": "random", "seed": 3}


def base(model: Path, data: Path) -> dict[str, Any]:
    return {
        "task": "custom",
        "data": {"path": str(data), "text": ["review"], "label": "verdict"},
        "model": {"name_or_path": str(model)},
        "adapter": {"r": 4, "target_rank": 2},
        "training": {"steps": 5, "evaluations": 1, "device": "cpu", "lr": 5e-3, "batch_size": 8},
    }


def outcome(record: RunRecord) -> tuple[Any, ...]:
    assert record.status == "completed"
    losses = [point.metrics for point in record.history]
    return losses, record.scores, record.counts, record.rank_pattern


@pytest.mark.long
def test_a_method_of_peft_trains_alike_by_train_tune_and_ablate(
    tiny_bert: Path, reviews_csv: Path, home_with_store: Path, ray_here: None
) -> None:
    given = base(tiny_bert, reviews_csv)
    trained = {}
    for name, change in SETTINGS.items():
        run = validate(Source({**given, **change}), RunConfig)
        trained[name] = outcome(api.train(run, name=name))
        saved = PeftConfig.from_pretrained(str(home_with_store / "runs" / name / "adapter"))
        kind = str(getattr(saved.peft_type, "value", saved.peft_type))
        assert kind == {"adalora": "ADALORA"}.get(name, name if name in BY_NAME else "LORA")

    space = Space.model_validate(
        {
            **given,
            "name": "methods",
            "method": "lora",
            "search": {"method": {"type": "categorical", "choices": list(SHORTHANDS)}},
            "references": {name: SETTINGS[name] for name in BY_NAME},
            "sampler": SAMPLER,
            "trials": len(SHORTHANDS),
        }
    )
    study = api.tune(space)
    tuned = {trial.params["method"]: trial.record for trial in study.trials} | study.references
    assert {name: outcome(record) for name, record in tuned.items() if record} == trained

    arms = {name: change for name, change in SETTINGS.items() if name != "lora"}
    untested = {"seeds": [0], "floor": None, "comparisons": []}
    suite = Suite.model_validate(
        {**given, **untested, "name": "methods", "method": "lora", "arms": arms}
    )
    ablated = api.ablate(suite, reuse=False)
    folders = {
        "lora" if run.arm == "base" else run.arm: read_record(run.folder) for run in ablated.runs
    }
    assert {name: outcome(record) for name, record in folders.items() if record} == trained
