"""What is damaged in a study, a suite or a run, what that costs, and what can be mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..config.space import Space
from ..errors import UserError, first_line
from ..store import (
    ADAPTER_FOLDER,
    CONFIG_FILE,
    RECORD_FILE,
    SEEDS_FOLDER,
    TRIALS_FOLDER,
    Damaged,
    RunRecord,
    check_tensors,
    checkpoints,
    copy_of,
    lock_folder,
    read_record,
    remove_folder,
    set_aside,
)
from ..tracking import spool_damages
from .catalog import PLANS, Named
from .rebuild import rebuilt_record


@dataclass(frozen=True)
class Finding:
    """One damaged file.

    Attributes:
        path: The file or folder.
        why: What is wrong with it.
        cost: What is lost by it, and what a resume makes of it.
        remedy: What a repair does about it; empty where nothing can be done here.
        mended: Whether it was done.
    """

    path: Path
    why: str
    cost: str
    remedy: str = ""
    mended: bool = False


@dataclass(frozen=True)
class _Found:
    finding: Finding
    mend: Callable[[], object] | None = None


def check_files(item: Named, uri: str, repair: bool = False) -> list[Finding]:
    """Return everything that is damaged in what was run, in the order of its files.

    Args:
        item: A study, a suite, a single run or a verification.
        uri: The MLflow store, whose cursor says how much was delivered.
        repair: Mend what can be mended. A damaged record is kept as ``record.json.damaged``.

    Raises:
        UserError: It is to be repaired while it runs.
    """
    if not repair:
        return [found.finding for found in _all(item, uri)]
    with lock_folder(item.folder):
        mended = [_mended(found) for found in list(_all(item, uri))]
        for run in _runs(item):
            copy_of(run).send()
        return mended


def _mended(found: _Found) -> Finding:
    if found.mend is None:
        return found.finding
    found.mend()
    return replace(found.finding, mended=True)


def _all(item: Named, uri: str) -> Iterator[_Found]:
    yield from _plan(item)
    for run in _runs(item):
        yield from _record(item, run)
        yield from _checkpoints(run)
        yield from _adapter(run)
    yield from _predictions(item)
    for damage in spool_damages(item.folder, uri):
        cost = "MLflow lacks what it held; the record has it"
        yield _Found(Finding(damage.path, damage.why, cost))


def _plan(item: Named) -> Iterator[_Found]:
    """Look at what everything else is named by: the plan, and a study's database."""
    try:
        item.state()
    except Damaged as damage:
        cost = "it can be neither resumed nor shown until this file is restored from a copy"
        yield _Found(Finding(damage.path, damage.why, cost))
    except UserError as error:
        cost = "it can be neither resumed nor shown until this is put right"
        yield _Found(Finding(item.folder / PLANS[item.kind], first_line(error), cost))


def _runs(item: Named) -> list[Path]:
    if item.kind == "run":
        return [item.folder]
    return sorted(path.parent for path in item.folder.glob(f"*/*/{CONFIG_FILE}"))


def _record(item: Named, run: Path) -> Iterator[_Found]:
    try:
        record = read_record(run)
        if record is not None:
            return
        damage = Damaged(run / RECORD_FILE, "it is missing")
    except Damaged as error:
        damage = error
    try:
        rebuilt = None if item.kind == "run" else rebuilt_record(item.folder, run)
    except Damaged:
        rebuilt = None
    cost = _cost(item, run)
    if rebuilt is None:
        yield _Found(Finding(damage.path, damage.why, cost))
        return
    last = rebuilt.history[-1].step
    remedy = f"the record is made again: {rebuilt.status}, {last} steps, from checkpoint and spool"
    yield _Found(
        Finding(damage.path, damage.why, cost, remedy), lambda: _write(rebuilt, run, damage.path)
    )


def _write(record: RunRecord, run: Path, damaged: Path) -> None:
    if damaged.exists():
        set_aside(damaged)
    record.write(run)


def _cost(item: Named, run: Path) -> str:
    if item.kind == "run":
        return "the run is trained again"
    if isinstance(_plan_or_none(item), Space) and run.parent.name in (TRIALS_FOLDER, SEEDS_FOLDER):
        return "the trial keeps its state and score; its curves, sizes and times are blank"
    whole = [point for point in checkpoints(run) if point.damage is None]
    begin = f"from step {whole[-1].step}" if whole else "from its beginning"
    return f"a resume trains this run again {begin}"


def _plan_or_none(item: Named) -> object:
    try:
        return item.plan
    except UserError:
        return None


def _checkpoints(run: Path) -> Iterator[_Found]:
    every = checkpoints(run)
    for index, item in enumerate(every):
        if item.damage is None:
            continue
        before = [other.step for other in every[:index] if other.damage is None]
        go_on = f"step {before[-1]}" if before else "the beginning"
        yield _Found(
            Finding(
                item.damage.path,
                item.damage.why,
                f"a resume refuses it; without it the run goes on from {go_on}",
                "the checkpoint is deleted",
            ),
            lambda folder=item.folder: remove_folder(folder),  # type: ignore[misc]
        )


def _adapter(run: Path) -> Iterator[_Found]:
    for path in sorted((run / ADAPTER_FOLDER).glob("*.safetensors")):
        try:
            check_tensors(path)
        except Damaged as damage:
            cost = "the adapter cannot be loaded or exported; scores and report stand"
            yield _Found(Finding(damage.path, damage.why, cost))


def _predictions(item: Named) -> Iterator[_Found]:
    if item.kind != "suite":
        return
    from ..analysis import damaged_predictions, read_tasks

    try:
        runs = [run for task in read_tasks(item.folder).values() for run in task.runs.values()]
    except UserError:
        return  # the plan, which is among the findings
    for damage in damaged_predictions(runs):
        cost = "scores stand; comparisons that need single predictions leave the run out"
        yield _Found(Finding(damage.path, damage.why, cost))
