"""What a whole study costs around its training: trials on Ray, delivery to MLflow, reading it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from lora2_search.config.run_info import RunInfo
from lora2_search.experiments.tune import study_parent
from lora2_search.search.study import Study, run_study
from lora2_search.store.record import RunRecord
from lora2_search.tracking.delivery.sync import sync
from lora2_search.tracking.session import Tracked
from lora2_search.training.events import Report, State

from .stand_in import EVALUATIONS, FiveSeconds, StandIn, space_of

Row = tuple[str, str, str]

# Seconds after the first trial begins at which a node is lost.
_LOST_AT = 40.0


@dataclass
class Watch:
    """An observer: when trials began and ended, and the driver's memory as they ended.

    Attributes:
        first: When the first trial began; ``None`` before.
        last: When the last one ended.
        mb: Resident memory in 10⁶ bytes, one value per ended trial.
        begun: Set when the first trial begins.
        lost: Set once a node was killed.
    """

    first: float | None = None
    last: float = 0.0
    mb: list[float] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    lost: threading.Event = field(default_factory=threading.Event)

    def started(self, run: RunInfo) -> None:
        if self.first is None and run.competes:
            self.first = time.perf_counter()
            self.begun.set()

    def reported(self, run: RunInfo, report: Report) -> None:
        """Nothing to note."""

    def ended(self, run: RunInfo, state: State, record: RunRecord | None, reason: str) -> None:
        self.last = time.perf_counter()
        self.mb.append(psutil.Process().memory_info().rss / 1e6)

    @property
    def seconds(self) -> float:
        assert self.first is not None
        return self.last - self.first


def studies(sizes: list[int], home: Path) -> Iterator[Row]:
    """Run studies of so many trials on this machine, one after the other, and read the last one."""
    per_trial = {}
    uri = f"sqlite:///{home / 'mlflow.db'}"
    for size in sizes:
        watch = Watch()
        study, tracked = _searched(size, home, uri, watch)
        per_trial[size] = watch.seconds / size
        name = f"{size:,} trials on Ray"
        yield f"{name}: per trial", f"{per_trial[size]:.3f} s", "<= 0.15 s" if size == 200 else ""
        grown = watch.mb[-1] - watch.mb[min(20, size) - 1]
        yield f"{name}: the driver's memory grows by", f"{grown:.0f} MB", "<= 150 MB"
        yield f"{name}: files and bytes per trial", *_taken(study.folder / "trials", size)
        seconds = _delivered(study, tracked, uri)
        what = f"{name} of {10 * EVALUATIONS} points: in MLflow after the last"
        yield what, f"{seconds:.0f} s", "<= 60 s"
    if len(sizes) > 1:
        low, high = min(sizes), max(sizes)
        ratio = per_trial[high] / per_trial[low]
        yield f"per trial, {high:,} / {low:,}", f"{ratio:.2f}", "<= 1.1"
    for words, bound in (
        (("runs", "list"), "<= 1 s"),
        (("runs", "show", study.name), "<= 3 s"),
        (("report", study.name), "<= 20 s"),
    ):
        seconds = min(_timed_command(words) for _ in range(3))
        what = f"`{' '.join(words)}`, {max(sizes):,} trials, best of 3"
        yield what, f"{seconds:.1f} s", bound
    page = study.folder / "report.html"
    yield "its page", f"{page.stat().st_size / 1e6:.1f} MB", "<= 5 MB"


def _searched(size: int, home: Path, uri: str, watch: Watch) -> tuple[Study, Tracked]:
    space = space_of(size)
    tracked = Tracked(home / "studies" / space.name, study_parent(space), uri, print)
    study = run_study(space, observers=[tracked, watch], trainable=StandIn)
    return study, tracked


def _taken(folder: Path, trials: int) -> tuple[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    kb = sum(path.stat().st_size for path in files) / 1000
    return f"{len(files) / trials:.1f}, {kb / trials:.1f} kB", "<= 6, <= 10 kB"


def _delivered(study: Study, tracked: Tracked, uri: str) -> float:
    """Return the seconds until MLflow holds all, with what `runs sync` does where it is needed."""
    begun = time.perf_counter()
    tracked.close("COMPLETE")
    sync(study.folder, uri)
    return time.perf_counter() - begun


def _timed_command(words: tuple[str, ...]) -> float:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "lora2_search", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def nodes(many: int, trials: int, home: Path) -> Iterator[Row]:
    """Run trials of five seconds on local Ray nodes of one CPU each, of which one is killed."""
    from tests.support.exactly_once import assert_every_point_once

    watch = Watch()
    space = space_of(trials, concurrent=None)
    uri = f"sqlite:///{home / 'mlflow.db'}"
    with _cluster(many) as cluster:
        killer = threading.Thread(target=_lose_a_node, args=(cluster, watch), daemon=True)
        killer.start()
        tracked = Tracked(home / "studies" / space.name, study_parent(space), uri, print)
        study = run_study(
            space,
            storage=home,
            address=cluster.address,
            observers=[tracked, watch],
            trainable=FiveSeconds,
        )
        killer.join(60)
    assert watch.lost.is_set(), "no node was killed"
    _delivered(study, tracked, uri)
    assert_every_point_once(study.folder, uri)
    states = {trial.state for trial in study.trials}
    work = FiveSeconds.pause * EVALUATIONS * trials
    ideal = _LOST_AT + (work - many * _LOST_AT) / (many - 1)
    name = f"{many} local nodes, {trials} trials of 5 s, one node killed after 40 s"
    yield name, f"{len(study.trials)} trials, every point once, {', '.join(states)}", "all once"
    share = f"{watch.seconds:.0f} s where {ideal:.0f} s are ideal: {ideal / watch.seconds:.2f}"
    yield f"{name}: seconds", share, ">= 0.8"


@contextmanager
def _cluster(many: int) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    # Ray gives a raylet ten seconds to come up, which eight at once do not keep on two cores.
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        for _ in range(many - 1):
            made.add_node(num_cpus=1)
        yield made
    finally:
        made.shutdown()


def _lose_a_node(cluster: Any, watch: Watch) -> None:
    watch.begun.wait()
    time.sleep(_LOST_AT)
    next(iter(cluster.worker_nodes)).kill_raylet(check_alive=False)
    watch.lost.set()
