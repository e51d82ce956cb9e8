"""A run that takes more memory than its node has."""

from __future__ import annotations

import re
import time
from pathlib import Path

import psutil
import pytest

from lora2_search.config.run import RunConfig
from lora2_search.config.space.schema import Resources
from lora2_search.execution.trainable import Run
from tests.execution.test_engine import run_all, runs
from tests.support.exactly_once import assert_every_point_once
from tests.support.stand_in import Recorder, StandIn

pytestmark = pytest.mark.cluster

LIMIT = 2 << 30


class Greedy(StandIn):
    """Takes memory without end, when the seed is 29."""

    def _start(self, config: RunConfig, folder: Path) -> Run:
        run = super()._start(config, folder)
        return self._greedily(run) if config.seed == 29 else run

    def _greedily(self, run: Run) -> Run:
        yield next(run)
        taken = []
        while len(taken) < 64:
            taken.append(b"\1" * (LIMIT // 8))
            time.sleep(0.2)
        raise AssertionError("nobody minded")


def test_a_run_that_fills_the_memory_fails_and_the_others_complete(
    tmp_path: Path, workers_find_tests: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = psutil.virtual_memory()
    threshold = (memory.total - memory.available + LIMIT) / memory.total
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{threshold:.3f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    seen, listed = Recorder(), runs(tmp_path, [1, 29, 2])
    run_all(listed, tmp_path, resources=Resources(concurrent=1), observers=[seen], trainable=Greedy)
    first, greedy, last = [seen.of("ended")[run.key][0] for run in listed]
    assert (first[0], last[0]) == ("COMPLETE", "COMPLETE")
    assert greedy[0] == "FAIL"
    why = greedy[2]
    assert re.fullmatch(
        r"its process died [45] times: Ray ended it because its node was low on memory "
        r"\(\S+GB used / \S+GB limit\); run fewer at a time \(resources\.concurrent\), or lower "
        r"training\.batch_size",
        why,
    ), why
    assert_every_point_once(tmp_path)
