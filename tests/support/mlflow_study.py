"""A small study for tracking: configurations, reports and what MLflow holds of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.run_info import RunInfo
from lora2_search.store.record import Point, RunRecord
from lora2_search.tracking.spool.observer import ParentInfo, SpoolObserver
from lora2_search.tracking.spool.spool import Metrics, read, run_paths
from lora2_search.training.events import Report

BASE = RunConfig(task="sentiment")


def parent(**changes: Any) -> ParentInfo:
    given = {"kind": "study", "name": "demo", "config": BASE, "columns": ("adapter.k",)}
    return ParentInfo(**{**given, **changes})


def run(folder: Path, number: int = 0, arm: str = "") -> RunInfo:
    settings = {"adapter.k": number % 8 + 1, "training.lr": 1e-3 / (number + 1)}
    return RunInfo(
        key=f"{number:05d}",
        name=f"trial {number}",
        config=with_settings(BASE, settings),
        settings=settings,
        folder=folder / "trials" / str(number),
        arm=arm,
    )


def points(first: int, last: int, score: float = 0.75) -> tuple[Point, ...]:
    """Return the points of an interval as training tells them: the last holds the evaluation."""
    told = [
        Point(step=s, time_ms=1_700_000_000_000 + s, metrics={"train/loss": 1.0 / (s + 1)})
        for s in range(first, last)
    ]
    told[-1].metrics["validation/accuracy"] = score
    return tuple(told)


def report(first: int, last: int, score: float = 0.75) -> Report:
    return Report(
        interval=1,
        intervals=1,
        step=last - 1,
        total_steps=50,
        score=score,
        kept_rank=8,
        points=points(first, last, score),
        done=False,
    )


def record(info: RunInfo, history: Sequence[Point] = points(0, 50)) -> RunRecord:
    return RunRecord(
        fingerprint=info.config.fingerprint(),
        status="completed",
        config=info.config.model_dump(mode="json"),
        metric="accuracy",
        classes=["bad", "good"],
        data_hash="0123456789abcdef" * 4,
        sizes={"train": 80, "validation": 10, "test": 10},
        history=list(history),
        scores={"validation/accuracy": 0.75, "test/accuracy": 0.7},
        counts={"trained_adapter": 1000},
        rank_pattern={"layer.0": 4},
        timings={"total": 2.5},
        versions={"python": "3.11", "torch": "2.13"},
        commit="abc1234",
        device="cpu",
        ended_ms=1_700_000_100_000,
    )


def whole_run(observer: SpoolObserver, info: RunInfo) -> None:
    observer.started(info)
    observer.reported(info, report(0, 50))
    observer.ended(info, "COMPLETE", record(info), "")


def spooled(folder: Path) -> Counter[tuple[str, str, int]]:
    """Return every (run, metric, step) of the runs' spools with its count."""
    found: Counter[tuple[str, str, int]] = Counter()
    for key, path, _ in run_paths(folder):
        for item in read(path).records:
            if isinstance(item, Metrics):
                found.update((key, name, item.step) for name in item.values)
    return found


class Stored:
    """What an MLflow store holds of one study, read through MLflow's client."""

    def __init__(self, uri: str, name: str = "demo") -> None:
        from mlflow import MlflowClient

        from lora2_search.tracking.uri import prepare

        prepare(uri)
        self._name = name
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def experiments(self) -> list[Any]:
        found = self.client.search_experiments()
        names = f"lora2_search/studies/{self._name}", f"lora2_search/suites/{self._name}"
        return [item for item in found if item.name.startswith(names)]

    def all(self) -> list[Any]:
        ids = [item.experiment_id for item in self.experiments()]
        return list(self.client.search_runs(ids, max_results=5000)) if ids else []

    def runs(self) -> dict[str, Any]:
        children = [run for run in self.all() if "mlflow.parentRunId" in run.data.tags]
        by_key = {run.data.tags["lora2.key"].partition("/")[2]: run for run in children}
        assert len(by_key) == len(children), "a run is there twice"
        return by_key

    def parent(self) -> Any:
        (found,) = [run for run in self.all() if "mlflow.parentRunId" not in run.data.tags]
        return found

    def points(self) -> Counter[tuple[str, str, int]]:
        found: Counter[tuple[str, str, int]] = Counter()
        for key, item in self.runs().items():
            for name in item.data.metrics:
                history = self.client.get_metric_history(item.info.run_id, name)
                found.update((key, name, point.step) for point in history)
        return found
