"""Hand-made records and predictions, laid out as runs leave them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from lora2_search.config.run import RunConfig
from lora2_search.config.suite.schema import Suite, validate_suite
from lora2_search.config.tasks import score
from lora2_search.config.yaml import Source
from lora2_search.store.record import Point, RunRecord

MODULES = [
    f"bert.encoder.layer.{layer}.attention.self.{kind}"
    for layer in range(2)
    for kind in ("query", "key", "value")
]


def suite(**changes: Any) -> Suite:
    data: dict[str, Any] = {
        "name": "small",
        "task": "sentiment",
        "adapter": {"target_rank": 4},
        "arms": {
            "no-regularisation": {"adapter.gamma": 0.0},
            "random-allocation": {"adapter.scoring": "random"},
            "head-only": {"method": "head-only"},
        },
    }
    return validate_suite(Source({**data, **changes}))


def record(config: RunConfig, **changes: Any) -> RunRecord:
    history = [
        Point(step=s, time_ms=s, metrics={"train/loss": 1 / s, "validation/accuracy": 1 - 1 / s})
        for s in range(2, 7)
    ]
    values: dict[str, Any] = {
        "status": "completed",
        "metric": "accuracy",
        "majority": 0.5,
        "sizes": {"train": 100, "validation": 10, "test": 40},
        "total_steps": 6,
        "history": history,
        "scores": {"validation/accuracy": 0.8, "test/accuracy": 0.75},
        "counts": {
            "trained_adapter": 1000,
            "trained_head": 500,
            "kept_adapter": 900,
            "compressed_adapter": 300,
        },
        "rank_pattern": {name: index for index, name in enumerate(MODULES)},
        "timings": {"setup": 1.0, "train": 20.0, "evaluation": 4.0, "total": 25.0},
        "versions": {"python": "3.11.1", "torch": "2.13.0"},
        "commit": "0123abc",
        "dirty": False,
        "device": "cpu",
        "threads": 1,
        "started_ms": 0,
        "ended_ms": 25_000,
    }
    return RunRecord(
        fingerprint=config.fingerprint(),
        config=config.model_dump(mode="json"),
        **{**values, **changes},
    )


def write_run(
    folder: Path,
    config: RunConfig,
    correct: Sequence[bool] | np.ndarray | None = None,
    labels: np.ndarray | None = None,
    predictions: np.ndarray | None = None,
    **changes: Any,
) -> RunRecord:
    """Write a run that answered ``correct`` of its test sentences (or ``predictions``)."""
    folder.mkdir(parents=True, exist_ok=True)
    metric, classes = changes.get("metric", "accuracy"), len(changes.get("classes", ()))
    if correct is not None:
        right = np.asarray(correct, dtype=bool)
        labels = np.arange(len(right)) % 2 * 1.0
        predictions = np.where(right, labels, 1 - labels)
    if predictions is not None and labels is not None:
        value = score(metric, labels, predictions, classes or None)
        changes.setdefault("scores", {f"test/{metric}": value})
        tables = [
            pd.DataFrame(
                {
                    "split": split,
                    "example": np.arange(len(labels)),
                    "label": labels,
                    "prediction": predictions if split == "test" else 1 - labels,
                }
            )
            for split in ("validation", "test")
        ]
        pd.concat(tables).to_parquet(folder / "predictions.parquet", index=False)
    result = record(config, **changes)
    result.write(folder)
    return result


def three_classes(folder: Path, **changes: Any) -> None:
    """Write a suite of three classes and F1 whose test set lacks the third; one run diverged."""
    plan = suite(task="custom", data={"path": "three.csv"}, metric="f1", seeds=3, **changes)
    folder.mkdir(parents=True, exist_ok=True)
    plan.write(folder)
    labels = np.arange(60) % 2 * 1.0
    for run in plan.runs(folder):
        arm, seed = run.arm, run.config.seed
        told: dict[str, Any] = {"metric": "f1", "classes": ["a", "b", "c"]}
        if (arm, seed) == ("no-regularisation", 2):
            write_run(run.folder, run.config, status="failed", error="Diverged: x", **told)
            continue
        wrong = np.random.default_rng([seed, len(arm)]).random(60) < (0.4 if arm != "base" else 0.2)
        write_run(
            run.folder,
            run.config,
            labels=labels,
            predictions=np.where(wrong, 1 - labels, labels),
            **told,
        )


Answers = Callable[[str, int], np.ndarray | None]


def write_suite(
    folder: Path,
    plan: Suite,
    answers: Answers,
    special: Mapping[tuple[str, int], Mapping[str, Any]] | None = None,
) -> Path:
    """Write a suite whose runs answered ``answers(arm, seed)``; ``None`` leaves the run out.

    ``special`` names what else is true of a run's record: ``{("base", 1): {"status": "failed"}}``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan.write(folder)
    for run in plan.runs(folder):
        arm, seed = run.arm, run.config.seed
        correct = answers(arm, seed)
        changes = dict((special or {}).get((arm, seed), {}))
        if correct is not None or changes:
            write_run(run.folder, run.config, correct, **changes)
    return folder


def draws(rates: Mapping[str, float], examples: int = 400, spread: float = 0.01) -> Answers:
    """Return answers that are right at an arm's rate, a little better or worse with each seed."""

    def answer(arm: str, seed: int) -> np.ndarray:
        generator = np.random.default_rng([seed, *arm.encode()])
        rate = rates[arm] + spread * generator.standard_normal()
        return generator.random(examples) < rate

    return answer


def write_study_files(folder: Path, name: str = "study") -> Path:
    """Write ``space.yaml`` of a study that searches two settings."""
    folder.mkdir(parents=True, exist_ok=True)
    space = RunConfig(task="sentiment").model_dump(mode="json") | {
        "name": name,
        "search": {
            "training.lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
            "adapter.k": {"type": "int", "low": 1, "high": 16},
        },
        "trials": 8,
    }
    (folder / "space.yaml").write_text(yaml.safe_dump(space), encoding="utf-8")
    return folder
