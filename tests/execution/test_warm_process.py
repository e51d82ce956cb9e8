from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lora2_search.config.run import RunConfig
from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.schema import Resources
from lora2_search.execution.trainable import Run, Task, TrialTrainable
from lora2_search.store.record import read_record
from tests.execution.test_engine import run_all
from tests.training.test_run import comparable, settings

VARIANTS: dict[str, dict[str, Any]] = {
    "lora": {"method": "lora"},
    "head-only": {"method": "head-only"},
    "crashed": {"training.lr": 1e30, "training.max_grad_norm": None},
    "last": {},
}


@pytest.mark.slow
def test_a_trial_in_a_process_that_ran_others_equals_the_same_trial_in_a_fresh_one(
    tmp_path: Path, ray_here: None, tiny_bert: Path, reviews_csv: Path
) -> None:
    def execute(place: str, names: list[str]) -> list[Path]:
        root = tmp_path / place
        root.mkdir()
        listed = [
            RunInfo(name, name, settings(tiny_bert, reviews_csv, **VARIANTS[name]), {}, root / name)
            for name in names
        ]
        run_all(listed, root, resources=Resources(concurrent=1))
        return [run.folder for run in listed]

    used, (fresh,) = execute("used", list(VARIANTS)), execute("fresh", ["last"])
    states = [record.status for folder in used if (record := read_record(folder))]
    assert states == ["completed", "completed", "failed", "completed"]
    assert len({_pid(folder) for folder in used}) == 1
    assert _pid(fresh) != _pid(used[0])
    assert comparable(used[-1]) == comparable(fresh)
    for folder in (used[-1], fresh):
        record = read_record(folder)
        assert record is not None
        assert record.threads == 1


class Vandal(TrialTrainable):
    """Writes into the model that all runs of the process share, when the seed is 23."""

    def _start(self, config: RunConfig, folder: Path) -> Run:
        run = super()._start(config, folder)
        return self._disturbed(run, config) if config.seed == 23 else run

    def _disturbed(self, run: Run, config: RunConfig) -> Run:
        from tests.training.test_checksum import vandalise

        yield next(run)
        vandalise(config)
        return (yield from run)


@pytest.mark.slow
def test_after_a_run_that_changed_the_shared_model_others_run_in_a_fresh_process(
    tmp_path: Path, ray_here: None, tiny_bert: Path, reviews_csv: Path
) -> None:
    def execute(place: str, seeds: list[int]) -> list[Path]:
        root = tmp_path / place
        root.mkdir()
        configs = [settings(tiny_bert, reviews_csv, seed=seed) for seed in seeds]
        listed = [RunInfo(str(c.seed), "", c, {}, root / str(c.seed)) for c in configs]
        run_all(listed, root, resources=Resources(concurrent=1), trainable=Vandal)
        return [run.folder for run in listed]

    first, bad, after = execute("used", [1, 23, 2])
    (alone,) = execute("alone", [2])
    record = read_record(bad)
    assert record is not None and record.status == "failed"
    assert (
        record.error and "attention.self.query.weight changed since it was loaded" in record.error
    )
    assert _pid(first) == _pid(bad) != _pid(after)
    assert comparable(after) == comparable(alone)


class Weighed(TrialTrainable):
    """Notes, before each run but the first, what the process holds."""

    def reset_config(self, new_config: Task) -> bool:
        import gc

        import torch

        taken = super().reset_config(new_config)
        gc.collect()
        tensors = sum(isinstance(item, torch.Tensor) for item in gc.get_objects())
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        held = {
            "pid": os.getpid(),
            "tensors": tensors,
            "mb": pages * os.sysconf("SC_PAGESIZE") / 1e6,
        }
        folder = Path(new_config["folder"])
        folder.mkdir(parents=True)
        (folder / "held.json").write_text(json.dumps(held))
        return taken


@pytest.mark.slow
def test_fifty_trials_in_one_process_leave_nothing_behind(
    tmp_path: Path, ray_here: None, tiny_bert: Path, reviews_csv: Path
) -> None:
    # Optuna's own loop keeps what trials leave (optuna#5931); each of these makes a whole model.
    methods = ["lora2", "lora", "full", "adalora", "head-only"]
    listed = [
        RunInfo(
            f"{n:02d}", f"{n:02d}",
            settings(tiny_bert, reviews_csv, method=methods[n % 5], seed=n),
            {}, tmp_path / f"{n:02d}",
        )
        for n in range(50)
    ]  # fmt: skip
    run_all(listed, tmp_path, resources=Resources(concurrent=1), trainable=Weighed)
    ended = [record.status for run in listed if (record := read_record(run.folder))]
    assert ended == ["completed"] * 50
    held = [json.loads((run.folder / "held.json").read_text()) for run in listed[1:]]
    assert len({item["pid"] for item in held}) == 1
    settled = held[9:]  # by then every method was loaded once, and allocators are warm
    assert len({item["tensors"] for item in settled}) == 1
    assert settled[-1]["mb"] - settled[0]["mb"] < 20


def _pid(folder: Path) -> int:
    return int(json.loads((folder / "attempt.json").read_text())["pid"])
