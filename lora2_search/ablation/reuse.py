"""Runs that were made before, in another suite or study, taken over instead of made again."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import RunConfig, RunInfo
from ..config.space import Resources
from ..config.suite import canonical_key
from ..store import (
    ADAPTER_FOLDER,
    CONFIG_FILE,
    PREDICTIONS_FILE,
    RECORD_FILE,
    RunRecord,
    copy_of,
    read_record,
    readable_record,
    write_json,
)
from ..training import code_hash, versions

if TYPE_CHECKING:
    from ..training import Inputs

# Where completed runs are, in a home or a shared storage folder.
_PLACES = ("suites/*/runs/*", "suites/*/tuning/*", "studies/*/trials/*", "studies/*/reference/*")

# Written anew, or of the attempt that made the run and no part of it.
_NOT_TAKEN = (RECORD_FILE, CONFIG_FILE, "attempt.json", "overdue", "checkpoint")


@dataclass(frozen=True)
class Circumstances:
    """What a run is made with and on, besides its settings.

    Attributes:
        versions: Python, libraries and this package.
        code: ``code_hash``, the same in every checkout and commit whose deciding files are equal.
        device: ``cpu``, ``cuda`` ...
        threads: Torch threads, of each process.
        processes: How many train a run together.
    """

    versions: Mapping[str, str]
    code: str
    device: str
    threads: int
    processes: int = 1

    @classmethod
    def here(cls, resources: Resources) -> Circumstances:
        """Return those of a run that this process would start now, its resources settled."""
        device = "cuda" if resources.gpus_per_trial else "cpu"
        threads = max(1, int(resources.cpus_per_trial))
        return cls(versions(), code_hash(), device, threads, resources.devices_per_trial)

    def made(self, record: RunRecord) -> bool:
        """Whether a run was made in these circumstances.

        A record without a ``code_hash`` is of an earlier version of this package, and so of other
        code than any that could ask here.
        """
        return not any(self.differences(record))

    def differences(self, record: RunRecord) -> Iterator[tuple[str, str]]:
        """Yield in what a run's circumstances differ from these, as (what, words for people)."""
        if not record.code_hash or record.code_hash != self.code:
            yield "code", _other_code(record)
        for name in sorted({*record.versions, *self.versions}):
            there, here = record.versions.get(name), self.versions.get(name)
            if there != here:
                yield name, f"version {there} made the runs, this is {here}"
        device = record.device.partition(":")[0]
        if device != self.device:
            yield (
                "device",
                f"the runs were made on {device or 'no known device'}, not {self.device}",
            )
        if record.threads != self.threads:
            yield (
                "threads",
                f"the runs had {record.threads}, here they would have {self.threads}; "
                f"--set resources.cpus_per_trial={record.threads}",
            )
        if record.processes != self.processes:
            yield (
                "processes",
                f"the runs had {record.processes}, here they would have {self.processes}; "
                f"--set resources.devices_per_trial={record.processes}",
            )


def reusable(
    runs: Sequence[RunInfo], storage: Path, circumstances: Circumstances
) -> dict[str, Path]:
    """Return, by key, the folder of a completed run that equals one that has not begun.

    Equal are: every setting that decides a result (``canonical_settings``), the seed among them;
    the sentences and their split, the model's files and this package's code, by hash; versions,
    device, threads and processes. A run that was pruned, failed or interrupted is never taken.

    Args:
        runs: What is to be run.
        storage: The folder of ``suites/`` and ``studies/``.
        circumstances: Those under which the runs would be made.
    """
    missing: dict[str, list[RunInfo]] = {}
    for run in runs:
        if not (run.folder / RECORD_FILE).exists():
            missing.setdefault(canonical_key(run.config), []).append(run)
    if not missing:
        return {}
    reused: dict[str, Path] = {}
    ours = {run.folder.resolve() for run in runs}
    from ..training import InputsOnce

    inputs = InputsOnce()
    for folder, found_identity in _candidates(storage):
        candidates = [run for run in missing.get(found_identity, []) if run.key not in reused]
        if candidates and folder.resolve() not in ours:
            record = readable_record(folder)
            if record is None or not circumstances.made(record):
                continue
            if _is_whole(folder, record):
                same = [run for run in candidates if _same_inputs(inputs.of(run.config), record)]
                reused |= {run.key: folder for run in same}
    return reused


def take_over(run: RunInfo, source: Path, storage: Path) -> RunRecord:
    """Make the folder of ``run`` hold what the run in ``source`` left, and return its record.

    Files are hard links where the file system allows. The record comes last: whoever is stopped
    before it has taken over nothing.
    """
    record = read_record(source)
    assert record is not None  # it was read a moment ago
    run.folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.name not in _NOT_TAKEN and not path.name.startswith("."):
            _link(path, run.folder / path.name)
    origin = record.reused_from or str(_inside(source, storage))
    config = run.config.model_dump(mode="json")
    own = {"fingerprint": run.config.fingerprint(), "config": config, "reused_from": origin}
    copy = record.model_copy(update=own)
    write_json(run.folder / CONFIG_FILE, config)
    copy.write(run.folder)
    copy_of(run.folder).send()
    return copy


def take_over_all(
    runs: Sequence[RunInfo],
    storage: Path,
    circumstances: Circumstances,
    say: Callable[[str], None],
) -> None:
    """Take over every run that is ``reusable``, and say how many from where."""
    reused = reusable(runs, storage, circumstances)
    for run in runs:
        if run.key in reused:
            take_over(run, reused[run.key], storage)
    if reused:
        homes = Counter("/".join(_inside(path, storage).parts[:2]) for path in reused.values())
        sources = ", ".join(f"{count} from {place}" for place, count in homes.items())
        say(f"{len(reused)} of {len(runs)} runs are reused, not trained again: {sources}")


def _same_inputs(ours: Inputs, record: RunRecord) -> bool:
    """Whether a run would use the sentences and the model that the record's run used."""
    theirs = (record.data_hash, record.model_hash)
    return bool(record.model_hash) and theirs == (ours.data_hash, ours.model_hash)


def _other_code(record: RunRecord) -> str:
    if record.commit is None:
        return "other code made the runs, in a package that is not a checkout; install that one"
    remedy = f"git checkout {record.commit}"
    if not record.code_hash:
        return f"the runs do not say which code made them; start over, or {remedy}"
    if record.dirty:
        return f"other code made the runs: commit {record.commit}, with changes that are not in it"
    return f"other code made the runs; check that out: {remedy}"


def _candidates(storage: Path) -> Iterator[tuple[Path, str]]:
    for place in _PLACES:
        for folder in sorted(storage.glob(place)):
            try:
                settings = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
                config = RunConfig.model_validate(settings)
            except (OSError, ValueError):
                continue  # never begun, or of another version of this package
            yield folder, canonical_key(config)


def _inside(folder: Path, storage: Path) -> Path:
    return folder.resolve().relative_to(storage.resolve())


def _is_whole(folder: Path, record: RunRecord) -> bool:
    if record.status != "completed":
        return False
    copy_of(folder).fetch()
    return all((folder / part).exists() for part in (PREDICTIONS_FILE, ADAPTER_FOLDER))


def _link(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, copy_function=_link_file)
    else:
        target.unlink(missing_ok=True)
        _link_file(str(source), str(target))


def _link_file(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
