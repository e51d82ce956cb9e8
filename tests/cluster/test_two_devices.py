"""A suite whose runs take two processes each, on two nodes of which one is lost."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lora2_search.tracking.uri import DATABASE
from tests.cli.test_signals import Command
from tests.execution.test_several_devices import processes
from tests.support.afterwards import base
from tests.support.exactly_once import assert_every_point_once, records_under
from tests.support.patience import BUSY

pytestmark = pytest.mark.cluster


@pytest.fixture
def suite(tiny_bert: Path, reviews_csv: Path, tmp_path: Path) -> Path:
    """Four runs, each of a quarter of a minute or more."""
    plan = base(tiny_bert, reviews_csv)
    plan["training"] |= {"steps": 480, "evaluations": 16}
    plan |= {"arms": {"no-regulariser": {"adapter.gamma": 0}}, "seeds": 2, "floor": None}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**plan, "resources": {"devices_per_trial": 2}}))
    return path


@pytest.mark.parametrize("cluster", [2], indirect=True)
def test_runs_of_two_processes_go_on_when_a_node_of_theirs_is_lost(
    cluster: Any, suite: Path, home_with_store: Path
) -> None:
    folder = home_with_store / "suites" / "mine"
    command = Command("ablate", suite, "--address", cluster.address)
    command.wait_for_a_score(folder)
    deadline = time.monotonic() + 120 * BUSY
    # Two runs at a time, one on each node: no node has room for two.
    while len({process.ppid() for process in processes()}) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (lost,) = cluster.worker_nodes
    cluster.remove_node(lost, allow_graceful=False)
    said = command.process.communicate(timeout=600 * BUSY)[1]
    assert (command.process.returncode, said) == (0, "")
    records = records_under(folder)
    assert len(records) == 4
    assert {(r.status, r.processes) for r in records.values()} == {("completed", 2)}
    assert_every_point_once(folder, f"sqlite:///{home_with_store / DATABASE}")
    assert not processes()
