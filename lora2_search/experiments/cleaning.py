"""Remove what was run: one thing whole, or what nobody needs of all of it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..errors import Argument, RequestError, UserError
from ..search import Study, load_study
from ..store import (
    ADAPTER_FOLDER,
    CHECKPOINT_FOLDER,
    REFERENCES_FOLDER,
    RUNGS_FOLDER,
    RUNS_FOLDER,
    SEEDS_FOLDER,
    TUNING_FOLDER,
    WINNER_FOLDER,
    copy_of,
    home,
    lock_folder,
    readable_record,
    remove_folder,
)
from .catalog import Named, all_items, find_item
from .train import run_of_winner

# A folder on its way out: no list shows a name that begins with a dot.
_LEAVING = ".leaving-"

KEEP = 3


@dataclass(frozen=True)
class Removable:
    """A folder that can go.

    Attributes:
        folder: The folder.
        what: What it is, for people: ``adapter of trial 3 of study quick``.
        size: Bytes that its removal frees: files that other runs share by hard links stay there.
    """

    folder: Path
    what: str
    size: int


def removal_of(name: str, storage: Path | None = None) -> Removable:
    """Return what `delete` would remove; nothing is removed.

    Raises:
        UserError: There is nothing of that name, or a process runs it.
    """
    item = find_item(name, storage)
    _check_idle(item)
    return Removable(item.folder, f"{item.kind} {item.name}", _size(item.folder))


def delete(name: str, storage: Path | None = None) -> Removable:
    """Remove a study, suite, run or verification from the disk; what MLflow has of it stays there.

    Raises:
        UserError: There is nothing of that name, or a process runs it or delivers it to MLflow.
    """
    from ..tracking import delivering

    found = removal_of(name, storage)
    leaving = found.folder.with_name(f"{_LEAVING}{found.folder.name}")
    with lock_folder(found.folder), delivering(found.folder):
        # In one step, so that nobody meets half of it.
        found.folder.rename(leaving)
        copy_of(found.folder).delete()
    shutil.rmtree(leaving)
    return found


def garbage(
    name: str | None = None, storage: Path | None = None, keep: int = KEEP
) -> list[Removable]:
    """Return what can go without losing a result: weights; records and predictions stay.

    Of a study the adapters of all trials but the best ``keep``, the winner, the front of several
    objectives and the last one, and of all runs on fresh seeds or later rungs but the one that
    stands for the winner; of a suite those of all seeds of an arm but the best ``keep`` and the
    last one. Checkpoints of runs that ended,
    which no resume reads. What a `delete` that was interrupted has left. Nothing of what a process
    runs, and no adapter of a single run.

    Args:
        name: A study, suite or run; by default all.
        storage: Where ``studies/`` and ``suites/`` are.
        keep: How many of the best keep their adapter.

    Raises:
        UserError: ``keep`` is below 1, there is nothing of that name, or a plan is broken.
    """
    if keep < 1:
        raise RequestError(Argument("keep"), f" must be at least 1, but got {keep}")
    items = all_items(storage) if name is None else [find_item(name, storage)]
    found = _left_behind(storage) if name is None else []
    for item in items:
        if not item.is_running:
            found += _there(_of_item(item, keep), item)
    return found


def collect(found: Sequence[Removable]) -> int:
    """Remove these folders and return how many bytes that freed."""
    for removable in found:
        remove_folder(removable.folder)
    return sum(removable.size for removable in found)


def _left_behind(storage: Path | None) -> list[Removable]:
    bases = {home(), storage or home()}
    folders = [path for base in bases for path in sorted(base.glob(f"*/{_LEAVING}*"))]
    return [Removable(path, f"the rest of {path.name}", _size(path)) for path in folders]


def _there(found: Iterable[Removable], item: Named) -> Iterator[Removable]:
    """Yield those that are there, with their sizes: here, or in the bucket alone."""
    in_bucket = Counter[str]()
    for name, size in copy_of(item.folder).sizes().items():
        for folder in PurePosixPath(name).parents:
            in_bucket[str(folder)] += size
    for removable in found:
        if removable.folder.is_dir():
            yield replace(removable, size=_size(removable.folder))
        elif size := in_bucket[removable.folder.relative_to(item.folder).as_posix()]:
            yield replace(removable, size=size)


def _of_item(item: Named, keep: int) -> Iterator[Removable]:
    of = f"of {item.kind} {item.name}"
    if item.kind == "study":
        study = load_study(item.name, item.folder.parent.parent)
        kept, standing = kept_trials(study, keep), run_of_winner(study)
        open_ = {trial.number for trial in study.trials if trial.state == "RUNNING"}
        for trial in study.trials:
            if trial.number in open_:
                continue  # a resume may go on with it, though its first seed is complete
            parts = _ended(trial.folder, adapter=trial.number not in kept, failed=True)
            yield from _removable(parts, f"trial {trial.number} {of}")
        for folder in sorted((item.folder / REFERENCES_FOLDER).glob("*/")):
            yield from _removable(_ended(folder, adapter=False), f"{folder.name} {of}")
        for inside in (SEEDS_FOLDER, WINNER_FOLDER, RUNGS_FOLDER):
            for folder in sorted((item.folder / inside).glob("*/")):
                if inside == SEEDS_FOLDER and int(folder.name.partition("-")[0]) in open_:
                    continue
                stands = standing is not None and folder == standing.folder
                parts = _ended(folder, adapter=not stands, failed=True)
                yield from _removable(parts, f"{folder.name} {of}")
    elif item.kind == "suite":
        yield from _of_suite(item, keep, of)
    elif item.kind == "run":
        yield from _removable(_ended(item.folder, adapter=False), f"run {item.name}")


def kept_trials(study: Study, keep: int) -> set[int]:
    """Return the numbers of the trials whose adapter stays."""
    complete = [trial for trial in study.trials if trial.score is not None]
    best = sorted(complete, key=lambda trial: (-(trial.score or 0.0), trial.number))[:keep]
    front = study.pareto if len(study.space.goals) > 1 else ()
    winner = [study.best] if study.best else []
    return {trial.number for trial in (*best, *winner, *front, *complete[-1:])}


def _of_suite(item: Named, keep: int, of: str) -> Iterator[Removable]:
    arms: dict[str, list[tuple[float, Path]]] = {}
    for folder in sorted((item.folder / RUNS_FOLDER).glob("*/")):
        record = readable_record(folder)
        score = record.score("test", item.metric) if record else None
        if score is not None:
            arms.setdefault(folder.name.rpartition("-seed")[0], []).append((score, folder))
    kept = set[Path]()
    for scored in arms.values():
        best = sorted(scored, key=lambda pair: -pair[0])[:keep]
        last = max((folder for _, folder in scored), key=_seed)
        kept |= {folder for _, folder in best} | {last}
    for inside in (RUNS_FOLDER, TUNING_FOLDER):
        for folder in sorted((item.folder / inside).glob("*/")):
            parts = _ended(folder, adapter=folder not in kept)
            yield from _removable(parts, f"{folder.name} {of}")


def _seed(folder: Path) -> int:
    seed = folder.name.rpartition("-seed")[2]
    return int(seed) if seed.isdigit() else -1


def _ended(folder: Path, *, adapter: bool, failed: bool = False) -> list[Path]:
    """Return what can go of a run; nothing of one that a resume would go on with.

    ``failed``: whether one that failed has ended too; a resume of a suite makes it again.
    """
    record = readable_record(folder)
    ends = ("completed", "pruned", "failed") if failed else ("completed", "pruned")
    if record is None or record.status not in ends:
        return []
    return [folder / CHECKPOINT_FOLDER, *([folder / ADAPTER_FOLDER] if adapter else [])]


def _removable(parts: Iterable[Path], of: str) -> Iterator[Removable]:
    return (Removable(path, f"{path.name} of {of}", 0) for path in parts)


def _size(folder: Path) -> int:
    """Return the bytes that would be free: a file that another run links to would stay."""
    files = (path.lstat() for path in folder.rglob("*") if not path.is_dir())
    return sum(state.st_size for state in files if state.st_nlink == 1)


def _check_idle(item: Named) -> None:
    if item.is_running:
        raise UserError(
            f"{item.kind} {item.name} is running; stop it first (Ctrl-C in its terminal), then "
            "delete it"
        )
