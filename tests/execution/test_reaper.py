from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lora2_search.execution.reaper import Reaper
from tests.support.patience import BUSY

DRIVER = """
import subprocess, sys, time
from lora2_search.execution.reaper import Reaper
folder, child = sys.argv[1:]
reaper = Reaper(folder)
for mode in ("w", "r"):
    words = [sys.executable, "-c", child, folder + "/r/log", mode]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    print(process.pid, flush=True)
print(reaper._process.pid, flush=True)
time.sleep(600)
"""
CHILD = "import sys, time; kept = open(*sys.argv[1:]); print('open', flush=True); time.sleep(600)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "lora2-x"
    (made / "r").mkdir(parents=True)
    return made


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_a_driver_is_gone_so_is_all_that_writes_into_its_folder(
    folder: Path, number: int
) -> None:
    words = [sys.executable, "-c", DRIVER, str(folder), CHILD]
    driver = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    writer, reader, reaper = (psutil.Process(int(driver.stdout.readline())) for _ in range(3))
    try:
        driver.send_signal(number)
        driver.wait()
        assert psutil.wait_procs([writer, reaper], timeout=5 * BUSY)[1] == []
        assert not folder.exists()
        assert reader.is_running()  # somebody who only looks at the logs
    finally:
        reader.kill()


def test_who_ends_in_order_is_spared_though_it_writes_there(folder: Path) -> None:
    with (folder / "r" / "log").open("w"):
        Reaper(str(folder)).leave(10 * BUSY)
    assert not folder.exists()
    assert os.getpid()


def test_one_that_is_dismissed_leaves_everything_as_it_is(folder: Path) -> None:
    reaper = Reaper(str(folder))
    reaper.dismiss()
    assert folder.is_dir()
