"""A cluster whose head dies, as a driver on it sees that."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lora2_search.tracking.uri import DATABASE
from tests.cli.test_signals import Command, points
from tests.support.exactly_once import assert_every_point_once
from tests.support.mlflow_study import Stored
from tests.support.patience import BUSY

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("also_the_raylet", [False, True])
def test_a_driver_whose_head_dies_says_so_and_how_to_resume_within_thirty_seconds(
    cluster: Any, space: Path, home_with_store: Path, tmp_path: Path, also_the_raylet: bool
) -> None:
    storage, uri = tmp_path / "shared", f"sqlite:///{home_with_store / DATABASE}"
    folder = storage / "studies" / "mine"
    words = ("--storage", storage)
    command = Command("tune", space, "--address", cluster.address, *words)
    command.wait_for_a_score(folder)
    # Ray forgets a head's address with its processes.
    address, head = cluster.address, cluster.head_node
    head.kill_gcs_server(check_alive=False)
    if also_the_raylet:
        head.kill_raylet(check_alive=False)
    begun = time.monotonic()
    said = command.process.communicate(timeout=120)[1]
    seconds = time.monotonic() - begun
    print(f"gone after {seconds:.1f} s, exit code {command.process.returncode}:\n{said}")
    assert command.process.returncode == 85
    assert seconds < 30
    last = said.strip().splitlines()[-1]
    assert last.startswith(f"interrupted: the Ray cluster at {address} is gone: ")
    assert last.endswith(f"; resume with: lora2-search tune --resume mine --storage {storage}")
    command.assert_all_gone()
    assert {run.info.status for run in Stored(uri, "mine").all()} == {"KILLED"}
    before = points(folder)
    again = Command("tune", "--resume", "mine", *words)
    said = again.process.communicate(timeout=300 * BUSY)[1]
    assert (again.process.returncode, said) == (0, "")
    assert points(folder) > before
    assert_every_point_once(folder, uri)


WATCHES = """
import logging, sys, time
from lora2_search import signals
signals.interrupt_at_first(8.5)
import ray
from lora2_search.execution.pulse import watched
with signals.preserve_handlers():
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.CRITICAL)
try:
    with watched(sys.argv[1]):
        print("watching", flush=True)
        time.sleep(600)
except signals.Interrupted as end:
    print(signals.cause(), flush=True)
    signals.hurry(signals.EXIT_CODES[end.signal])
"""


@pytest.mark.parametrize(
    ("victim", "words"),
    [("gcs_server", "its head does not answer at "), ("raylet", "the raylet of this machine has")],
)
def test_a_command_on_a_cluster_that_dies_ends_with_85_long_before_ray_aborts_it(
    workers_find_tests: None, victim: str, words: str
) -> None:
    from ray.cluster_utils import Cluster

    head: dict[str, Any] = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    address = cluster.address
    watching = subprocess.Popen(
        [sys.executable, "-c", WATCHES, address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "watching\n"
        time.sleep(3)
        assert watching.poll() is None
        getattr(cluster.head_node, f"kill_{victim}")(check_alive=False)
        begun = time.monotonic()
        said = watching.communicate(timeout=60)[0]
        seconds = time.monotonic() - begun
        print(f"{victim} killed: gone after {seconds:.1f} s, exit code {watching.returncode}")
        # Ray may say before, in words of its own, that a process of it is gone.
        last = said.strip().splitlines()[-1]
        assert last.startswith(f"the Ray cluster at {address} is gone: {words}")
        assert watching.returncode == 85
        assert seconds < 30
    finally:
        watching.kill()
        cluster.shutdown()
