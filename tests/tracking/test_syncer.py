"""The syncer as a real process, killed, cut off and left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lora2_search.config.run_info import RunInfo
from lora2_search.tracking.delivery.cursor import cursor_path, load, pending
from lora2_search.tracking.delivery.sync import sync
from lora2_search.tracking.delivery.syncer import LOG_FILE, main, start_syncer
from lora2_search.tracking.spool.observer import SpoolObserver
from lora2_search.tracking.spool.spool import Flusher, Spool, run_path
from tests.support.exactly_once import assert_in_mlflow
from tests.support.mlflow_study import (
    Stored,
    parent,
    points,
    record,
    report,
    run,
    spooled,
    whole_run,
)
from tests.support.servers import LossyProxy, MlflowServer, alive, free_port, wait_until

RUNS = 20

# Niceness of the processes that train: Ray's own default.
RAYS_WORKERS = 15

POINTS = 50


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("server") / "store", free_port())
    server.start()
    yield server
    server.kill()


def write_slowly(observer: SpoolObserver, folder: Path) -> Iterator[RunInfo]:
    """Write runs in pieces, two under way at a time, yielding after each piece."""
    for pair in range(0, RUNS, 2):
        both = [run(folder, pair), run(folder, pair + 1)]
        for info in both:
            observer.started(info)
            yield info
        for first in range(0, POINTS, 10):
            for info in both:
                observer.reported(info, report(first, first + 10))
                yield info
        for info in both:
            observer.ended(info, "COMPLETE", record(info), "")
            yield info


def check_exactly_once(stored: Stored, folder: Path, interval: int = 10) -> None:
    found, wanted = stored.points(), spooled(folder)
    assert found == wanted
    assert set(found.values()) == {1}
    infos = [run(folder, number) for number in range(RUNS)]
    history = [point for at in range(0, POINTS, interval) for point in points(at, at + interval)]
    assert_in_mlflow(stored, {info.key: record(info, history) for info in infos})
    losses = Counter(key for key, name, _ in found if name == "train/loss")
    assert set(losses.values()) == {POINTS}
    assert {item.info.status for item in stored.runs().values()} == {"FINISHED"}


@pytest.mark.slow
def test_a_syncer_killed_again_and_again_delivers_every_point_once(
    observer: SpoolObserver, folder: Path, uri: str
) -> None:
    stored = Stored(uri)
    dice = random.Random(1)
    writing = write_slowly(observer, folder)
    kills = 0
    for _ in range(5):
        syncer = start_syncer(folder, uri)
        offset = load(cursor_path(folder, uri)).runs.copy()
        last = time.monotonic() + 30
        while load(cursor_path(folder, uri)).runs == offset and time.monotonic() < last:
            for _ in zip(range(3), writing, strict=False):
                pass
            time.sleep(0.2)
        time.sleep(dice.random() * 0.5)
        os.kill(syncer.pid, signal.SIGKILL)
        kills += 1
        if dice.random() < 0.4:
            cursor_path(folder, uri).unlink(missing_ok=True)
    for _ in writing:
        pass
    observer.close("COMPLETE")
    done = start_syncer(folder, uri).finish(60)
    assert (done.message, done.points, kills) == ("", 0, 5)
    check_exactly_once(stored, folder)


@pytest.mark.slow
def test_a_server_killed_and_a_lost_reply_lose_and_double_nothing(
    observer: SpoolObserver, folder: Path, server: MlflowServer
) -> None:
    proxy = LossyProxy(int(server.uri.rpartition(":")[2]), b"/runs/create", losses=3)
    syncer = start_syncer(folder, proxy.uri)
    for number, _ in enumerate(write_slowly(observer, folder)):
        time.sleep(0.05)
        if number in (50, 150):
            server.kill()
            time.sleep(1)
            server.start()
    observer.close("COMPLETE")
    done = syncer.finish(90)
    proxy.close()
    assert proxy.losses == 0
    assert done.message == ""
    check_exactly_once(Stored(server.uri), folder)


@pytest.mark.slow
def test_a_server_gets_artifacts_too_and_nothing_is_printed(
    folder: Path, server: MlflowServer, capfd: pytest.CaptureFixture[str]
) -> None:
    observer = SpoolObserver(folder, parent(name="artifacts"))
    whole_run(observer, run(folder))
    (folder / "space.yaml").write_text("task: sentiment")
    observer.artifact(None, folder / "space.yaml")
    observer.close("COMPLETE")
    assert sync(folder, server.uri).refused == 0
    assert capfd.readouterr().out == ""
    stored = Stored(server.uri, "artifacts")
    (kept,) = stored.client.list_artifacts(stored.parent().info.run_id)
    assert kept.path == "space.yaml"


@pytest.mark.slow
def test_an_outage_slows_nothing_and_is_told_in_bounded_time(
    folder: Path, server: MlflowServer
) -> None:
    port = free_port()
    away = f"http://127.0.0.1:{port}"
    observer = SpoolObserver(folder, parent())
    syncer = start_syncer(folder, away)
    begin = time.perf_counter()
    for number in range(20):
        whole_run(observer, run(folder, number))
    observer.close("COMPLETE")
    assert time.perf_counter() - begin < 2
    time.sleep(5)
    begin = time.perf_counter()
    done = syncer.finish(3)
    assert time.perf_counter() - begin < 5
    assert done.runs == 21
    assert "runs sync demo" in done.message
    assert "refused" in done.message.lower()  # says what stood in the way
    log = (folder / "tracking" / LOG_FILE).read_text()
    assert log.count("cannot be reached") == 1
    back = MlflowServer(folder.parent / "store", port)
    back.start()
    try:
        assert sync(folder, away).runs == 20
        check_exactly_once(Stored(away), folder, interval=POINTS)
    finally:
        back.kill()


@pytest.mark.slow
def test_a_syncer_whose_driver_was_killed_delivers_and_leaves(folder: Path, uri: str) -> None:
    code = f"""
import time
from pathlib import Path
from lora2_search.tracking.spool.observer import SpoolObserver
from lora2_search.tracking.delivery.syncer import start_syncer
from tests.support.mlflow_study import parent, run, report
folder = Path({str(folder)!r})
observer = SpoolObserver(folder, parent())
print(start_syncer(folder, {uri!r}).pid, flush=True)
observer.started(run(folder))
observer.reported(run(folder), report(0, 50))
time.sleep(600)
"""
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    syncer = int(driver.stdout.readline())
    wait_until(lambda: spooled(folder), 20)
    driver.kill()
    driver.wait()
    wait_until(lambda: not alive(syncer), 60)
    assert pending(folder, uri).runs == 0
    assert Stored(uri).points() == spooled(folder)


@pytest.mark.slow
def test_a_term_signal_flushes_and_an_ended_study_lets_its_syncer_go(
    observer: SpoolObserver, folder: Path, uri: str
) -> None:
    syncer = start_syncer(folder, uri)
    wait_until(lambda: load(cursor_path(folder, uri)).parent.run_id, 60)
    observer.started(run(folder))
    observer.reported(run(folder), report(0, 10))
    os.kill(syncer.pid, signal.SIGTERM)
    assert syncer.finish(20).message == ""
    second = start_syncer(folder, uri)
    observer.close("COMPLETE")
    wait_until(lambda: not alive(second.pid), 30)
    assert second.finish(0).message == ""


def test_a_syncer_does_not_outrank_the_runs(folder: Path, uri: str) -> None:
    folder.mkdir(parents=True)
    syncer = start_syncer(folder, uri)
    try:
        wait_until(lambda: psutil.Process(syncer.pid).nice() >= RAYS_WORKERS, 60)
    finally:
        os.kill(syncer.pid, signal.SIGKILL)
        syncer.finish()


def test_a_syncer_by_hand_delivers_an_ended_study_and_says_nothing(
    observer: SpoolObserver, folder: Path, uri: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole_run(observer, run(folder))
    with run_path(folder, "00000").open("ab") as file:
        file.write(b"{broken\n")
    Spool(
        run_path(folder, "00001"), Flusher()
    ).append()  # a run that was killed before its first line
    observer.close("COMPLETE")
    code = (
        "import sys; from lora2_search.tracking.delivery.syncer import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), "--uri", uri],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("broken line") == 1
    assert pending(folder, uri).runs == 0


def test_the_command_line_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as error:
            main(["--no-such-option"])
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    assert error.value.code == 2
