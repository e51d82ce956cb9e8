"""A suite that was killed goes on from its archive in another home, and says the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lora2_search.store.record import read_record

COMMAND = [sys.executable, "-m", "lora2_search"]


class Home:
    """A home of its own, and the commands that are given in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            **os.environ,
            "LORA2_SEARCH_HOME": str(folder),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "OMP_NUM_THREADS": "1",
        }

    def begin(self, *words: object) -> subprocess.Popen[str]:
        line = [*COMMAND, *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(line, env=self._environment, text=True, **pipes)  # type: ignore[call-overload, no-any-return]

    def run(self, *words: object, code: int = 0) -> str:
        process = self.begin(*words)
        told: str = process.communicate(timeout=900)[0]
        assert process.returncode == code, told
        return told

    def suite(self, name: str = "tiny") -> Path:
        return self.folder / "suites" / name


@pytest.fixture
def plan(tiny_bert: Path, reviews_csv: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    settings = {
        "name": "tiny",
        "task": "custom",
        "data": {"path": str(reviews_csv), "text": ["review"], "label": "verdict"},
        "model": {"name_or_path": str(tiny_bert)},
        "adapter": {"k": 4, "r": 4, "target_rank": 2, "init": "orthonormal"},
        "training": {
            "epochs": 2.0,
            "batch_size": 8,
            "lr": 2e-2,
            "evaluations": 4,
            "device": "cpu",
        },
        "arms": {
            "no-regularisation": {"adapter.gamma": 0.0},
            "head-only": {"method": "head-only"},
        },
        "tuning": {"arms": {"base": {"training.lr": [1e-2, 2e-2]}}, "seeds": 1},
        "seeds": 3,
        "resources": {"concurrent": 1},
    }
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.mark.long
def test_killed_twice_archived_and_gone_on_with_elsewhere_says_the_same_as_in_one_go(
    plan: Path, tmp_path: Path
) -> None:
    homes = ("whole", "tuning", "first", "second")
    whole, tuning, first, second = (Home(tmp_path / name) for name in homes)
    whole.run("ablate", "--suite", plan)
    archive = tmp_path / "archive"
    begin = ("ablate", "--suite", plan)
    _killed_after(tuning, lambda: _completed(tuning.suite(), "tuning") >= 1, *begin)
    tuning.run("report", "tiny", "--archive", archive)
    shutil.rmtree(tuning.folder)
    begin = ("ablate", "--resume-from", archive)
    _killed_after(first, lambda: _completed(first.suite(), "runs") >= 4, *begin)
    told = first.run("report", "tiny", "--archive", archive)
    assert re.search(r"tiny: \d of 9 runs, 2 of 2 tuning runs; .*--resume-from", told), told
    kept = json.loads((archive / "archive.json").read_text())["runs"]["completed"]
    shutil.rmtree(first.folder)
    told = second.run("ablate", "--resume-from", archive)
    assert f"{kept} of 9 runs and 2 tuning runs are taken from {archive}" in told
    for name in ("comparisons.csv", "report.md", "runs.csv", "suite.yaml", "differences.json"):
        assert _masked(second, name) == _masked(whole, name), name
    records = {path.name: read_record(path) for path in (second.suite() / "runs").iterdir()}
    taken = {name for name, record in records.items() if record and record.taken_from}
    assert len(taken) == kept and len(records) == 9
    assert all(record and record.status == "completed" for record in records.values())

    # What was taken has no adapter, and says where it has gone.
    name = sorted(taken)[0]
    told = second.run("export", second.suite() / "runs" / name, "--out", tmp_path / "x", code=2)
    assert f"taken from the archive {archive}, which holds no adapters" in told
    # The archive grows: written again from the second home it is whole, and a third may show it.
    told = second.run("report", "tiny", "--archive", archive)
    assert told.strip() == str(archive / "report.md")
    third = Home(tmp_path / "third")
    told = third.run("ablate", "--resume-from", archive, "--name", "again")
    assert "9 of 9 runs and 2 tuning runs are taken" in told
    assert _csv(third.suite("again")) == _csv(whole.suite())
    told = third.run("ablate", "--resume-from", archive, "--name", "again", code=2)
    assert "a suite named again exists" in told and "--resume again" in told
    third.run("ablate", "--resume", "again")


def _killed_after(home: Home, reached: Callable[[], bool], *words: object) -> None:
    """Begin a command, and kill -9 its process as soon as it has come so far."""
    driver = home.begin(*words)
    try:
        end = time.monotonic() + 600
        while not reached():
            assert driver.poll() is None and time.monotonic() < end
            time.sleep(0.05)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    time.sleep(4)  # orphaned workers are gone after 3 s


def _completed(suite: Path, kind: str) -> int:
    records = [read_record(path) for path in (suite / kind).glob("*")]
    return sum(record is not None and record.status == "completed" for record in records)


def _csv(suite: Path) -> str:
    return (suite / "comparisons.csv").read_text()


# What two computers may say differently of the same suite.
_MASKS = (
    (r"/\S*/suites/tiny", "SUITE"),
    (r"[\d,]+ seconds in all, [\d.]+ hours", "TIME"),
    (r"Peak memory of a run: [\d,]+ MiB", "MEMORY"),
)


def _masked(home: Home, name: str) -> str:
    text = (home.suite() / name).read_text()
    if name == "runs.csv":
        return _without(text, ("seconds", "peak"))
    for pattern, word in _MASKS:
        text = re.sub(pattern, word, text)
    return _without_seconds(text)


def _without_seconds(text: str) -> str:
    """Take the column of seconds out of the table of arms."""
    lines, column = [], None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if not line.startswith("|"):
            column = None
        elif "time per run, s" in cells:
            column = cells.index("time per run, s")
        if column is not None:
            del cells[column]
            line = "|".join(cells)
        lines.append(line)
    return "\n".join(lines)


def _without(text: str, names: tuple[str, ...]) -> str:
    import io

    import pandas as pd

    table = pd.read_csv(io.StringIO(text))
    kept = [column for column in table if not str(column).startswith(names)]
    return table[kept].to_csv(index=False)
