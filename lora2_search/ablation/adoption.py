"""Go on with a suite that was begun elsewhere: its finished runs are taken, the rest is run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import RunConfig, RunInfo, with_settings
from ..config.space import Resources
from ..config.suite import Suite, canonical_key, difference
from ..errors import ConfigError, Problem
from ..store import (
    CONFIG_FILE,
    PREDICTIONS_FILE,
    TUNING_FOLDER,
    RunRecord,
    copy_of,
    readable_record,
    write_json,
)
from .reuse import Circumstances

if TYPE_CHECKING:
    from ..training import InputsOnce

# What others published, filled in by hand; `analysis/published.py` reads it.
_PUBLISHED = "published.csv"

# Where data and model lie may differ: what they hold is compared.
_PLACES = ("data.path", "data.test_path", "model.name_or_path")


@dataclass(frozen=True)
class _Run:
    """A finished run from elsewhere.

    Attributes:
        place: Where it is below a suite's folder: ``runs/base-seed0``.
        record: Its record.
        config: What this suite would run in its place.
    """

    place: str
    record: RunRecord
    config: RunConfig


class Adoption:
    """The finished runs of a suite's folder from elsewhere, such as an archive that was unpacked.

    Taken are completed runs with their test predictions, and completed tuning runs; once arms are
    tuned, all tuning runs, for none of them is made again. A run that failed runs anew.

    Args:
        suite: What goes on here.
        begun: The folder from elsewhere.
        origin: What the folder is called for people: the archive.
    """

    def __init__(self, suite: Suite, begun: Path, origin: str) -> None:
        self._suite, self._begun, self._origin = suite, begun, origin
        self._tuning = list(_tuned(suite, begun) if suite.tuned else _tuning(suite, begun))
        self._runs = list(_completed(suite.runs(begun), PREDICTIONS_FILE))

    def check(self, terms: Resources) -> None:
        """Make sure that the runs would come out the same here, with resources that are settled.

        Raises:
            ConfigError: Other code, libraries, device, threads, settings, data or model made them;
                names what differs, and in how many runs.
        """
        from ..training import InputsOnce

        circumstances, inputs = Circumstances.here(terms), InputsOnce()
        runs_by_difference: dict[tuple[str, str], list[str]] = {}
        for run in self._taken:
            differing = list(circumstances.differences(run.record))
            # Other code may read settings and data otherwise: that comes when the code is equal.
            differing = differing or list(_other_run(run.config, run.record, inputs))
            for item in differing:
                runs_by_difference.setdefault(item, []).append(run.place)
        if runs_by_difference:
            raise ConfigError(
                [self._problem(*item, where) for item, where in runs_by_difference.items()]
            )

    def take(self, folder: Path) -> str:
        """Put the runs into the folder of the suite and return what was taken, for people.

        A record comes last: whoever is stopped before it has taken nothing of that run.
        """
        for run in self._taken:
            source, target = self._begun / run.place, folder / run.place
            target.mkdir(parents=True, exist_ok=True)
            if (source / PREDICTIONS_FILE).is_file():
                shutil.copyfile(source / PREDICTIONS_FILE, target / PREDICTIONS_FILE)
            config = run.config.model_dump(mode="json")
            write_json(target / CONFIG_FILE, config)
            changes = {"fingerprint": run.config.fingerprint(), "config": config}
            origin = {"taken_from": run.record.taken_from or self._origin}
            run.record.model_copy(update=changes | origin).write(target)
            copy_of(target).send()
        if (self._begun / _PUBLISHED).is_file():
            shutil.copyfile(self._begun / _PUBLISHED, folder / _PUBLISHED)
        runs = f"{len(self._runs)} of {len(self._suite.runs(folder))} runs"
        tuning = f" and {len(self._tuning)} tuning runs" if self._tuning else ""
        return f"{runs}{tuning} are taken from {self._origin}, not trained again"

    @property
    def _taken(self) -> list[_Run]:
        return [*self._tuning, *self._runs]

    def _problem(self, key: str, message: str, places: list[str]) -> Problem:
        many, all_of_them = len(places), len(self._taken)
        some = f" (in {many} of {all_of_them} runs, {places[0]} among them)"
        return Problem(key, message + (some if many < all_of_them else ""), self._origin)


def _completed(runs: Sequence[RunInfo], *files: str) -> Iterator[_Run]:
    for run in runs:
        record = readable_record(run.folder)
        complete = all((run.folder / name).is_file() for name in files)
        if record is not None and record.status == "completed" and complete:
            yield _Run(f"{run.folder.parent.name}/{run.folder.name}", record, run.config)


def _tuning(suite: Suite, begun: Path) -> Iterator[_Run]:
    return _completed(suite.tuning_runs(begun))


def _tuned(suite: Suite, begun: Path) -> Iterator[_Run]:
    """Yield the tuning runs that have done their work: the base has other settings since."""
    for folder in sorted((begun / TUNING_FOLDER).glob("*")):
        record = readable_record(folder)
        if record is not None and record.status in ("completed", "failed"):
            config = _moved(RunConfig.model_validate(record.config), suite)
            yield _Run(f"{TUNING_FOLDER}/{folder.name}", record, config)


def _other_run(
    config: RunConfig, record: RunRecord, inputs: InputsOnce
) -> Iterator[tuple[str, str]]:
    theirs = _moved(RunConfig.model_validate(record.config), config)
    if canonical_key(theirs) != canonical_key(config):
        for setting, (in_runs, in_suite) in difference(theirs, config).items():
            yield setting, f"the runs had {in_runs!r}, this suite says {in_suite!r}"
    else:
        yield from inputs.of(config).changes(record)


def _moved(theirs: RunConfig, ours: RunConfig) -> RunConfig:
    """Return a run that reads its data and model where ``ours`` has them."""
    places = (name.split(".") for name in _PLACES)
    return with_settings(
        theirs, {f"{part}.{key}": getattr(getattr(ours, part), key) for part, key in places}
    )
