"""What the search adds to the training it runs: 16 equal trials, two at a time, one thread each.

Efficiency is the time that two bare warm processes need for the same 16 runs, over the time from
the first trial's first step to the last one's end. Start-up and the gap between two trials of a
worker are measured in the same study, and so is the driver's time in tracking.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from lora2_search.config.space.schema import Space, validate_space
from lora2_search.config.yaml import Source
from lora2_search.search.study import run_study
from lora2_search.store.paths import home
from lora2_search.tracking.spool.observer import ParentInfo, SpoolObserver
from lora2_search.training.events import Observer

TRIALS, WORKERS = 16, 2


def space(name: str, sentences: int, method: str = "lora2") -> Space:
    settings: dict[str, Any] = {
        "name": name,
        "task": "sentiment",
        "data": {
            "train_size": sentences,
            "validation_size": 100,
            "test_size": 100,
            "max_length": 48,
        },
        "method": method,
        "adapter": {"target_rank": 4} if method == "lora2" else {},
        "training": {"epochs": 1.0, "evaluations": 2, "lr": 5e-3, "device": "cpu"},
        # A setting that changes nothing in what a trial costs.
        "search": {"training.weight_decay": {"type": "float", "low": 0.0, "high": 0.01}},
        "sampler": {"name": "tpe", "seed": 0},
        "scheduler": {"name": "none"},
        "trials": TRIALS,
        "resources": {"cpus_per_trial": 1, "concurrent": WORKERS},
    }
    return validate_space(Source(settings))


class Clock:
    """An observer that times another one, and notes when runs begin and end."""

    def __init__(self, inner: Observer) -> None:
        self.inner = inner
        self.inside = 0.0

    def _timed(self, call: Any, *arguments: Any) -> None:
        start = time.perf_counter()
        call(*arguments)
        self.inside += time.perf_counter() - start

    def started(self, run: Any) -> None:
        self._timed(self.inner.started, run)

    def reported(self, run: Any, report: Any) -> None:
        self._timed(self.inner.reported, run, report)

    def ended(self, run: Any, state: Any, record: Any, reason: str) -> None:
        self._timed(self.inner.ended, run, state, record, reason)


def studied(sentences: int) -> dict[str, float]:
    chosen = space("benchmark", sentences)
    folder = home() / "studies" / chosen.name
    folder.mkdir(parents=True)
    clock = Clock(SpoolObserver(folder, ParentInfo("study", chosen.name, chosen)))
    begin = time.time()
    study = run_study(chosen, observers=[clock], reference=False)
    wall = time.time() - begin
    records = [trial.record for trial in study.trials]
    assert len(records) == TRIALS and all(r and r.status == "completed" for r in records)
    starts = sorted(r.started_ms / 1000 for r in records if r)
    ends = sorted(r.ended_ms / 1000 for r in records if r and r.ended_ms)
    # With two workers the n-th start after the first two follows the n-th end.
    gaps = [start - end for start, end in zip(starts[WORKERS:], ends, strict=False)]
    return {
        "span": ends[-1] - starts[0],
        "start-up": starts[0] - begin,
        "gap": median(gaps),
        "largest gap": max(gaps),
        "tracking": clock.inside / wall,
    }


def _bare(index: int, ready: Any, results: Any, sentences: int, folder: str) -> None:
    import torch

    torch.set_num_threads(1)
    from lora2_search.training.loop.run import run

    chosen = space("bare", sentences)
    run(chosen.run_config({"training.weight_decay": 0.0}), Path(folder) / f"warm{index}")
    ready.wait()
    start = time.time()
    for number in range(TRIALS // WORKERS):
        config = chosen.run_config({"training.weight_decay": 0.001 * (number + 1)})
        run(config, Path(folder) / f"{index}-{number}")
    results.put((start, time.time()))


def bare(sentences: int) -> float:
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(WORKERS), context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            context.Process(target=_bare, args=(index, ready, results, sentences, folder))
            for index in range(WORKERS)
        ]
        for process in processes:
            process.start()
        times = [results.get() for _ in processes]
        for process in processes:
            process.join()
    return max(end for _, end in times) - min(start for start, _ in times)


@contextmanager
def own_home() -> Iterator[None]:
    """A fresh home that shares the packaged model and sentences with the real one."""
    from lora2_search.training.data.assets import asset

    assets = [asset("minilm"), asset("sentiment")][0].parent
    before = os.environ.get("LORA2_SEARCH_HOME")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "assets").symlink_to(assets)
        os.environ["LORA2_SEARCH_HOME"] = folder
        yield
        os.environ.pop("LORA2_SEARCH_HOME")
        if before is not None:
            os.environ["LORA2_SEARCH_HOME"] = before


def measure(sentences: int = 320) -> dict[str, float]:
    # One thread a process, as a trial has: without it the bare ones would compete.
    os.environ["OMP_NUM_THREADS"] = "1"
    with own_home():
        found = studied(sentences)
        found["bare"] = bare(sentences)
    del os.environ["OMP_NUM_THREADS"]
    return found | {"efficiency": found["bare"] / found["span"]}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
