from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lora2_search.config.space.schema import Resources
from lora2_search.execution import reaper as reaper_module
from lora2_search.execution.cluster import connect
from lora2_search.search.study import Study, load_study
from tests.execution.test_engine import run_all, runs
from tests.support.exactly_once import assert_every_point_once
from tests.support.patience import BUSY
from tests.support.stand_in import STEPS, Recorder, StandIn

pytestmark = pytest.mark.slow


TOKEN_CLUSTER = """
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
print(cluster.address, flush=True)
input()
cluster.shutdown()
"""


class Driver:
    """Starts drivers of one study, and waits for what they write."""

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self.process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.driver", str(self.storage), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def steps(self) -> list[tuple[str, str, int]]:
        """Every interval that was trained: trial, interval, process."""
        found = []
        for path in sorted((self.storage / "studies/tiny/trials").glob(f"*/{STEPS}")):
            for line in path.read_text().splitlines():
                interval, pid = line.split()
                found.append((path.parent.name, interval, int(pid)))
        return found

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60 * BUSY) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it took too long"
            assert self.process is not None
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)

    def wait_for_steps(self, more: int) -> None:
        before = len(self.steps())
        self.wait_for(lambda: len(self.steps()) >= before + more)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def kill_a_worker(self) -> None:
        """Kill a process that trains now; the last trial's may have gone with a killed driver."""
        alive = [pid for _, _, pid in self.steps() if psutil.pid_exists(pid)]
        os.kill(alive[-1], signal.SIGKILL)

    def finish(self, seconds: float = 120 * BUSY) -> tuple[str, str]:
        assert self.process is not None
        said = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, said
        return said

    def study(self) -> Study:
        return load_study("tiny", self.storage)

    def outcome(self) -> dict[str, Any]:
        outcome: dict[str, Any] = json.loads((self.storage / "outcome.json").read_text())
        return outcome


@pytest.fixture
def driver(tmp_path: Path, workers_find_tests: None) -> Iterator[Driver]:
    made = Driver(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def assert_all_once(driver: Driver, trials: int = 10) -> None:
    """Every trial complete, every point once, nothing trained twice to the end."""
    study = driver.study()
    assert [trial.state for trial in study.trials] == ["COMPLETE"] * trials
    for trial in study.trials:
        assert list(trial.values) == [1, 2, 3, 4, 5]
        assert trial.record is not None
        assert [point.step for point in trial.record.history] == [10, 20, 30, 40, 50]
    trained = [(trial, interval) for trial, interval, _ in driver.steps()]
    assert sorted(set(trained)) == sorted(trained)
    assert len(trained) == trials * 5
    assert_every_point_once(study.folder)


def test_killed_drivers_and_a_killed_worker_lose_and_double_nothing(driver: Driver) -> None:
    driver.start()
    for _ in range(3):
        driver.wait_for_steps(8)
        driver.kill()
        driver.start("--resume")
    driver.wait_for_steps(3)
    driver.kill_a_worker()
    driver.finish()
    assert_all_once(driver)


@pytest.mark.long
def test_a_driver_killed_while_a_winner_is_confirmed_loses_and_doubles_nothing(
    driver: Driver,
) -> None:
    fresh = driver.storage / "studies/tiny/winner"
    driver.start("--trials", "3", "--winner")
    # Four runs to choose on, then four to report on.
    driver.wait_for(lambda: len(list(fresh.glob(f"*/{STEPS}"))) >= 6)
    driver.kill()
    driver.start("--resume")
    driver.finish()
    winner = driver.study().winner
    assert winner is not None and winner.reported is not None and winner.is_complete
    assert set(winner.reported.runs) == {3, 4}
    logs = [path.read_text().splitlines() for path in sorted(fresh.glob(f"*/{STEPS}"))]
    assert [[line.split()[0] for line in log] for log in logs] == [list("12345")] * 8
    assert_all_once(driver, trials=3)


def test_nothing_outlives_a_killed_driver(driver: Driver) -> None:
    driver.start()
    driver.wait_for_steps(2)
    assert driver.process is not None
    family = psutil.Process(driver.process.pid).children(recursive=True)
    (reaper,) = [child for child in family if reaper_module.__file__ in child.cmdline()]
    folder = Path(reaper.cmdline()[-2])
    assert folder.is_dir()
    assert {"raylet", "gcs_server"} <= {child.name() for child in family}
    driver.kill()
    assert psutil.wait_procs(family, timeout=5 * BUSY)[1] == []
    assert not folder.exists()


@pytest.mark.parametrize(
    ("number", "times"),
    [(signal.SIGINT, 1), (signal.SIGINT, 3), (signal.SIGTERM, 1), (signal.SIGUSR1, 1)],
)
def test_an_interrupted_study_returns_at_once_in_silence_and_goes_on(
    driver: Driver, number: int, times: int
) -> None:
    driver.start()
    driver.wait_for_steps(6)
    assert driver.process is not None
    for _ in range(times):
        driver.process.send_signal(number)
        time.sleep(0.3)
    assert driver.finish(10 * BUSY) == ("", "")
    assert driver.outcome()["interrupted"]
    assert "RUNNING" in {trial.state for trial in driver.study().trials}
    driver.start("--resume")
    assert driver.finish() == ("", "")
    assert not driver.outcome()["interrupted"]
    assert_all_once(driver)


def test_both_processes_of_two_cores_are_used_and_stay_warm(driver: Driver) -> None:
    driver.start("--trials", "10")
    driver.finish()
    pids = [pid for _, _, pid in driver.steps()]
    assert len(set(pids)) == 2
    assert min(pids.count(pid) for pid in set(pids)) >= 15


def test_a_hung_run_fails_alone(tmp_path: Path, workers_find_tests: None) -> None:
    seen = Recorder()
    with connect(None, tmp_path):
        run_all(
            runs(tmp_path, [1, 19, 2]),
            tmp_path,
            resources=Resources(concurrent=1, interval_minutes=0.03),
            observers=[seen],
            trainable=StandIn,
        )
    states = {key: events[0] for key, events in seen.of("ended").items()}
    reason = "an evaluation interval took longer than 0.03 minutes"
    assert states["base-seed19"] == ("FAIL", "failed", reason)
    assert states["base-seed1"][0] == states["base-seed2"][0] == "COMPLETE"


@pytest.fixture
def cluster(workers_find_tests: None) -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    # A process that has a Ray of its own on loopback would put the cluster there too.
    assert not ray.is_initialized()
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def test_a_local_study_leaves_the_token_mode_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else the next cluster without tokens would be joined, and start none of its processes.
    script = (
        "import os; from pathlib import Path\n"
        "from lora2_search.execution.cluster import connect\n"
        f"with connect(None, Path({str(tmp_path)!r})): print(os.environ.get('RAY_AUTH_MODE'))\n"
        "print(os.environ.get('RAY_AUTH_MODE'))"
    )
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (said.stdout, said.stderr) == ("token\nNone\n", "")


def test_a_study_runs_on_two_nodes(driver: Driver, cluster: Any) -> None:
    driver.start("--address", cluster.address, "--trials", "6")
    driver.finish()
    assert_all_once(driver, trials=6)
    assert len({pid for _, _, pid in driver.steps()}) == 2


def test_a_cluster_with_tokens_admits_only_who_has_its_token(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 2)
    cluster = subprocess.Popen(
        [sys.executable, "-c", TOKEN_CLUSTER],
        env={**os.environ, "RAY_AUTH_MODE": "token"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert cluster.stdout is not None
    address = cluster.stdout.readline().strip()
    try:
        driver.start("--address", address, "--trials", "1")
        driver.finish()
        assert_all_once(driver, trials=1)
        monkeypatch.setenv("RAY_AUTH_TOKEN", "f" * 32)
        other = Driver(driver.storage / "other")
        other.start("--address", address)
        assert other.process is not None
        said = other.process.communicate(timeout=60)[1]
        assert "does not accept the token of $RAY_AUTH_TOKEN" in said
        assert not (other.storage / "studies" / "tiny").exists()
    finally:
        cluster.communicate("end\n")


def test_a_node_that_dies_loses_and_doubles_no_point(driver: Driver, cluster: Any) -> None:
    driver.start("--address", cluster.address, "--trials", "4", "--long")
    driver.wait_for_steps(4)
    (worker_node,) = cluster.worker_nodes
    cluster.remove_node(worker_node, allow_graceful=False)
    driver.finish(300 * BUSY)
    study = driver.study()
    assert [trial.state for trial in study.trials] == ["COMPLETE"] * 4
    assert all(list(trial.values) == [1, 2, 3, 4, 5] for trial in study.trials)
    for trial in study.trials:
        assert trial.record is not None
        assert [point.step for point in trial.record.history] == [10, 20, 30, 40, 50]
    assert_every_point_once(study.folder)
