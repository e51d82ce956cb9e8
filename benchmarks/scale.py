"""What a driver does for many trials at once: `python -m benchmarks.scale`.

Only the training is a stand-in. By default searcher, run queue, study, records and spool without
Ray, the time of the stand-in left out; ``--on-ray 200 2000`` runs whole studies on this machine,
and ``--nodes 8`` one on local Ray nodes, of which one is killed. Processor time is user and system.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lora2_search.config.run import RunConfig
from lora2_search.config.space.schema import Space
from lora2_search.execution.result import of_report
from lora2_search.execution.run_queue import RunLimits, RunQueue
from lora2_search.execution.trainable import Task
from lora2_search.search.ask_tell import AskTell
from lora2_search.search.storage import open_study
from lora2_search.store.environment import variables
from lora2_search.tracking.spool.observer import ParentInfo, SpoolObserver

from . import on_ray
from .machine import today_here
from .stand_in import EVALUATIONS, iterate, report_at, space_of

Row = tuple[str, str, str]


def alone(many: int, shared: bool) -> Iterator[Row]:
    """Measure searcher, run queue, study and spool with so many trials under way, without Ray."""
    where = "a journal" if shared else "SQLite"
    for what, (wall, processor) in _spent_alone(many, shared).items():
        value = f"{many / wall:,.0f} a second ({1000 * processor / many:.1f} ms of a core each)"
        bound = ">= 200" if what.startswith("results") else ""
        yield f"{what}, {many:,} under way, {where}", value, bound


def _spent_alone(many: int, shared: bool) -> dict[str, tuple[float, float]]:
    """Return seconds of wall and of processor time, by what the driver does."""
    tasks: dict[str, Task] = {}
    keys = [str(number) for number in range(many)]
    with _desk(space_of(many), shared) as queue:
        spent = {"trials begun": _timed(lambda key: _begin(queue, key, tasks), keys)}
        for interval in (1, 2):
            result = of_report(report_at(interval))
            name = f"results, evaluation {interval}"
            spent[name] = _timed(lambda key, result=result: _reported(queue, key, result), keys)
        for task in tasks.values():  # what the process of the run does
            deque(iterate(RunConfig.model_validate_json(task["config"]), Path(task["folder"])))
        last = of_report(report_at(EVALUATIONS))
        spent["trials ended"] = _timed(lambda key: queue.ended(key, last, False), keys)
    return spent


@contextmanager
def _desk(space: Space, shared: bool) -> Iterator[RunQueue]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "studies" / space.name
        folder.mkdir(parents=True)
        space.write(folder)
        spool = SpoolObserver(folder, ParentInfo("study", space.name, space))
        with open_study(folder, space.name, shared=shared, goals=space.goals) as (study, storage):
            source = AskTell(study, storage, space, folder, (), lambda: False)
            limits = RunLimits(threads=1, gpu=False, interval_seconds=None)
            yield RunQueue(source, [spool], limits, lambda at: f"stopped at {at}")
        spool.close("COMPLETE")


def _begin(queue: RunQueue, key: str, tasks: dict[str, Task]) -> None:
    task = queue.next(key)
    assert task is not None
    tasks[key] = task
    queue.started(key)


def _reported(queue: RunQueue, key: str, result: Any) -> None:
    queue.reported(key, result)
    assert not queue.stops(key)


def _timed(call: Callable[[str], object], keys: list[str]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    for key in keys:
        call(key)
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--many", type=int, default=1000, help="trials under way")
    parser.add_argument("--sqlite", action="store_true", help="not in a journal")
    parser.add_argument(
        "--on-ray", type=int, nargs="+", metavar="TRIALS", help="studies of so many, one by one"
    )
    parser.add_argument("--nodes", type=int, metavar="N", help="local Ray nodes, one to be killed")
    parser.add_argument("--trials", type=int, default=200, help="on the nodes")
    given = parser.parse_args()
    print(f"{today_here()}, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as scratch, _for_workers(Path(scratch)):
        if given.on_ray:
            rows = on_ray.studies(given.on_ray, Path(scratch))
        elif given.nodes:
            rows = on_ray.nodes(given.nodes, given.trials, Path(scratch))
        else:
            rows = alone(given.many, shared=not given.sqlite)
        for name, value, bound in rows:
            print(f"| {name} | {value} | {bound} |", flush=True)


@contextmanager
def _for_workers(home: Path) -> Iterator[None]:
    """Give this process and those it starts a home of their own, and these modules."""
    found = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    with variables({"LORA2_SEARCH_HOME": str(home), "PYTHONPATH": found}):
        yield


if __name__ == "__main__":
    main()
