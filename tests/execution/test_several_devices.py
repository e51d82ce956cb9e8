"""A trial over two devices, on Ray: CPUs are reserved for both, and no process outlives it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.schema import Resources
from lora2_search.execution.engine import RunList, execute
from lora2_search.execution.session import run_session
from lora2_search.store.record import read_record
from tests.support.patience import BUSY
from tests.support.stand_in import Recorder
from tests.training.test_run import settings

TWO = Resources(devices_per_trial=2, concurrent=1)


class StopsTheSecond(RunList):
    def stopping(self, run: RunInfo) -> str:
        return "enough" if run.key == "second" else ""


def processes() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("LORA2_SEARCH_HOME") == os.environ["LORA2_SEARCH_HOME"]
            if ours and any("training.loop.rank" in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            pass  # gone meanwhile, or another user's
    return found


@pytest.mark.slow
def test_a_trial_over_two_devices_is_one_run_and_one_that_is_stopped_leaves_no_process(
    tmp_path: Path, ray_here: None, tiny_bert: Path, reviews_csv: Path
) -> None:
    config, seen = settings(tiny_bert, reviews_csv), Recorder()
    listed = [RunInfo(name, name, config, {}, tmp_path / name) for name in ("first", "second")]
    with run_session(tmp_path, TWO, device="auto", resume=True, address=None) as terms:
        assert not execute(StopsTheSecond(listed), tmp_path, terms, observers=[seen])
    records = [read_record(run.folder) for run in listed]
    assert [(r.status, r.processes, r.threads) for r in records if r] == [
        ("completed", 2, 1),
        ("pruned", 2, 1),
    ]
    (ended,), (stopped,) = seen.of("ended")["first"], seen.of("ended")["second"]
    assert ended[0] == "COMPLETE"
    assert stopped[0] == "PRUNED" and stopped[2] == "stopped after evaluation 1: enough"
    deadline = time.monotonic() + 10 * BUSY
    while processes():
        assert time.monotonic() < deadline
        time.sleep(0.1)
