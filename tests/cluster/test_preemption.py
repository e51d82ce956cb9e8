"""Nodes and workers that are announced to go: trials move, and no retry is used up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora2_search.execution.run_queue import MAX_DEATHS
from tests.execution.test_faults import Driver, assert_all_once
from tests.support.exactly_once import assert_every_point_once

pytestmark = pytest.mark.cluster


@pytest.fixture
def driver(tmp_path: Path, workers_find_tests: None) -> Iterator[Driver]:
    made = Driver(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def end_the_worker(driver: Driver, number: signal.Signals) -> None:
    """End the process of the one trial, and wait until another trained an interval of it."""
    pid = driver.steps()[-1][2]
    os.kill(pid, number)
    driver.wait_for(lambda: driver.steps()[-1][2] != pid)


def test_the_trial_of_a_drained_node_moves_and_no_point_is_lost_or_doubled(
    driver: Driver, cluster: Any
) -> None:
    from ray._raylet import GcsClient
    from ray.core.generated import autoscaler_pb2

    driver.start("--address", cluster.address, "--trials", "4", "--long")
    driver.wait_for_steps(4)
    (node,) = cluster.worker_nodes
    preemption = autoscaler_pb2.DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
    deadline_ms = int(time.time() * 1000) + 60_000
    accepted, why = GcsClient(address=cluster.address).drain_node(
        node.node_id, preemption, "a spot instance", deadline_ms
    )
    assert accepted, why
    # The raylet of a drained node ends by itself once nothing runs there.
    raylet = node.all_processes["raylet"][0].process
    driver.wait_for(lambda: raylet.poll() is not None)
    driver.finish(600)
    assert_all_once(driver, trials=4)


def test_sigterm_in_a_worker_moves_its_trial_more_often_than_a_death_is_forgiven(
    driver: Driver, cluster: Any
) -> None:
    # The interval under way is finished first, so a move takes two.
    intervals = 2 * MAX_DEATHS + 4
    words = ("--trials", "1", "--long", "--evaluations", str(intervals))
    driver.start("--address", cluster.address, *words)
    driver.wait_for_steps(1)
    for _ in range(MAX_DEATHS + 1):
        end_the_worker(driver, signal.SIGTERM)
    driver.finish(600)
    (trial,) = driver.study().trials
    assert (trial.state, len(trial.values)) == ("COMPLETE", intervals)
    assert_every_point_once(driver.study().folder)


def test_a_trial_whose_worker_dies_by_itself_is_tried_again_three_times(
    driver: Driver, cluster: Any
) -> None:
    driver.start("--address", cluster.address, "--trials", "1", "--long")
    driver.wait_for_steps(1)
    for _ in range(MAX_DEATHS):
        end_the_worker(driver, signal.SIGKILL)
    os.kill(driver.steps()[-1][2], signal.SIGKILL)
    driver.finish(600)
    (trial,) = driver.study().trials
    assert trial.state == "FAIL"
    assert trial.reason.startswith("its process died 4 times: ")
    assert_every_point_once(driver.study().folder)
