"""``ablate`` as a user runs it: real processes, a tiny model, real files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from lora2_search.store.record import read_record
from lora2_search.tracking.uri import DATABASE
from tests.support.commands import COMMAND, run
from tests.support.exactly_once import assert_every_point_once

pytestmark = pytest.mark.slow

# What depends on the clock, or on where a run took place.
TIMED = ("seconds", "peak_memory_mb", "started", "ended", "folder", "name", "suite")


@pytest.fixture
def suite(reviews_csv: Path, tiny_bert: Path, tmp_path: Path, home_with_store: Path) -> Path:
    written = {
        "task": "custom",
        "data": {"path": str(reviews_csv), "text": ["review"], "label": "verdict"},
        "model": {"name_or_path": str(tiny_bert)},
        "adapter": {"k": 4, "r": 4, "target_rank": 2},
        "training": {"steps": 8, "evaluations": 4, "device": "cpu", "lr": 0.01},
        "factors": {"planes": {"one-plane": {"adapter.k": []}, "two-planes": {}}},
        "design": "one-at-a-time",
        "arms": {"head-only": {"method": "head-only"}},
        "equivalence": [{"arm": "one-plane", "margin": 0.5}],
        "seeds": 3,
        "sequential": {"first": 2, "every": 1, "most": 3},
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(written, sort_keys=False))
    return path


def numbers(folder: Path) -> dict[str, Any]:
    """Return all that a report says in numbers, but for times."""
    runs = pd.read_csv(folder / "runs.csv")
    kept = [name for name in runs if not any(word in name for word in TIMED)]
    return {
        "runs": runs[kept].to_csv(index=False),
        "comparisons": (folder / "comparisons.csv").read_text(),
        "predictions": {
            path.parent.name: pd.read_parquet(path).to_csv()
            for path in sorted(folder.glob("runs/*/predictions.parquet"))
        },
    }


def test_a_suite_that_was_killed_and_goes_on_says_the_same_bit_for_bit(
    suite: Path, home_with_store: Path
) -> None:
    suites = home_with_store / "suites"
    run("ablate", "--suite", suite, "--name", "whole")
    line = [*COMMAND, "ablate", "--suite", str(suite), "--name", "killed", "--no-reuse"]
    driver = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 120
        while completed(suites / "killed") < 2:
            assert driver.poll() is None and time.monotonic() < end
            time.sleep(0.05)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    time.sleep(4)  # orphaned workers are gone after 3 s
    assert 2 <= completed(suites / "killed") < 9
    run("ablate", "--resume", "killed", "--no-reuse")
    whole, killed = numbers(suites / "whole"), numbers(suites / "killed")
    assert len(whole["predictions"]) == 9 and "one-plane" in whole["comparisons"]
    assert killed == whole
    assert_every_point_once(suites / "killed", f"sqlite:///{home_with_store / DATABASE}")


def completed(folder: Path) -> int:
    records = [read_record(path) for path in (folder / "runs").glob("*")]
    return sum(record is not None and record.status == "completed" for record in records)


@pytest.mark.long
def test_seeds_are_added_and_looked_at_from_the_command_line(
    suite: Path, home_with_store: Path
) -> None:
    before = sorted(home_with_store.rglob("*"))
    told = json.loads(run("ablate", "--suite", suite, "--dry-run", "--json").stdout)
    assert (told["runs"], told["left"], told["seconds"] > 0) == (9, 9, True)
    assert told["differences"]["one-plane"] == {"adapter.k": [4, []]}
    left = [path for path in sorted(home_with_store.rglob("*")) if path not in before]
    assert all("tokens" in path.parts for path in left)
    done = run("ablate", "--suite", suite, "--until-decided", "--name", "open")
    assert (
        "interim analysis at 2 seeds:" in done.stdout
        and "one-plane: adapter.k 4 -> []" in done.stdout
    )
    folder = home_with_store / "suites" / "open"
    plan = yaml.safe_load((folder / "suite.yaml").read_text())
    assert plan["until_decided"] and len(plan["seeds"]) in (2, 3)
    run("ablate", "--suite", suite, "--set", "seeds=2", "--name", "fixed")
    done = run("ablate", "--resume", "fixed", "--add-seeds", 1)
    assert "x 3 seeds, 1 of them added now" in done.stdout
    assert completed(home_with_store / "suites" / "fixed") == 9
    report = (home_with_store / "suites" / "fixed" / "report.md").read_text()
    assert "1 of 3 seeds (2) were added" in report
    assert_in_mlflow(home_with_store, "fixed", runs=9)


def assert_in_mlflow(home: Path, name: str, runs: int) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{home / DATABASE}")
    (experiment,) = [e for e in client.search_experiments() if e.name.endswith(f"/{name}")]
    found = client.search_runs([experiment.experiment_id])
    (parent,) = [item for item in found if "mlflow.parentRunId" not in item.data.tags]
    children = [item.data.tags for item in found if item is not parent]
    assert len(children) == runs
    (arm,) = [tags for tags in children if (tags["arm"], tags["seed"]) == ("one-plane", "2")]
    assert (arm["factor.planes"], arm["task"]) == ("one-plane", "custom")
    kept = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert kept >= {"suite.yaml", "differences.json", "report.html", "report.md", "figures"}


def test_the_path_to_a_studys_winner_is_a_suite(
    suite: Path, tmp_path: Path, home_with_store: Path
) -> None:
    settings = yaml.safe_load(suite.read_text())
    for key in ("factors", "design", "arms", "equivalence", "seeds", "sequential"):
        settings.pop(key)
    settings["search"] = {"adapter.k": {"type": "int", "low": 2, "high": 3}}
    space = tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump({**settings, "trials": 1}))
    run("tune", "--space", space, "--name", "study")
    told = json.loads(run("ablate", "--from-study", "study", "--set", "seeds=2", "--json").stdout)
    assert told["name"] == "study-path" and told["failed"] == {}
    arms = {row["arm"] for row in told["tables"]["arms"]}
    assert arms == {"base", "step-1-adapter.k", "head-only"}
