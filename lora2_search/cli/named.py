"""Find what was run by its name: studies, suites, single runs and verifications."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from ..errors import UserError, did_you_mean
from ..home import home
from ..invocation import command_line
from ..search.ownership import is_owned
from ..search.progress import Progress, progress_of, study_progress
from ..search.trial import best_trial, read_trials
from ..training.record import RECORD_FILE, RunRecord, read_record
from ..used import is_used

Kind = Literal["study", "suite", "run", "verification"]
FOLDERS: dict[Kind, str] = {
    "study": "studies",
    "suite": "suites",
    "run": "runs",
    "verification": "verifications",
}
PLANS: dict[Kind, str] = {
    "study": "space.yaml",
    "suite": "suite.yaml",
    "run": RECORD_FILE,
    "verification": "verification.json",
}
VERBS: dict[Kind, str] = {"study": "tune", "suite": "ablate", "run": "train"}
REFERENCE = "head only"


@dataclass(frozen=True)
class Named:
    """Something that was run.

    Attributes:
        kind: What it is.
        folder: Where it lies; its last part is the name.
    """

    kind: Kind
    folder: Path

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @cached_property
    def plan(self) -> Mapping[str, Any]:
        """What it was begun from; empty for a single run."""
        if self.kind == "run":
            return {}
        text = (self.folder / PLANS[self.kind]).read_text(encoding="utf-8")
        return yaml.safe_load(text) or {}

    @property
    def metric(self) -> str | None:
        """What it is judged by: a study's objective; ``None`` for the task's primary metric."""
        if self.kind == "study":
            return (self.plan.get("objective") or {}).get("metric")
        return self.plan.get("metric")

    @cached_property
    def is_running(self) -> bool:
        """Whether a process runs it now."""
        return is_owned(self.folder)

    def state(self) -> str:
        """Return ``running``, ``stopped`` (there is something left to do), or ``complete``.

        Of a single run, how it ended instead of ``complete``.

        Raises:
            UserError: Its plan is broken.
        """
        if self.kind == "verification":
            return self.extent.state
        if self.kind == "study":
            return study_progress(self.folder).state
        if self.kind == "suite":
            from ..ablation.runner import suite_progress

            return suite_progress(self.folder).state
        record = read_record(self.folder)
        return "running" if self.is_running else self.state_of(record.status if record else "")

    @property
    def extent(self) -> Progress:
        """How many parts of a verification are measured; it has no runs of its own.

        Raises:
            UserError: Its plan is broken.
        """
        from ..verification.progress import parts_done, told_rows

        done, total = parts_done(self.folder)
        over = done == total and bool(told_rows(self.folder))
        return progress_of(self.folder, "parts", done, total, over)

    def state_of(self, status: str) -> str:
        """Return the state of one of its runs, given what the run's record says.

        A run that was killed, or interrupted, could not write that it stopped.
        """
        return "stopped" if status == "running" and not self.is_running else status

    def resumption(self) -> str:
        """Return the command that goes on with it."""
        if self.kind == "verification":
            # Its settings are told by options alone, which no file holds.
            return "the same `verify` command"
        words = [VERBS[self.kind], "--resume", self.name]
        if self.kind != "run" and self.folder.parent.parent != home():
            words += ["--storage", str(self.folder.parent.parent)]
        return command_line(*words)

    def waiting(self) -> dict[str, Mapping[str, Any]]:
        """Return the settings of trials that were proposed and have no record yet, by name."""
        if self.kind != "study":
            return {}
        trials = read_trials(self.folder, self.name)
        return {
            f"trial {trial.number}": trial.params
            for trial in trials
            if trial.state == "RUNNING" and trial.record is None
        }

    def best(self) -> tuple[str, float] | None:
        """Return the best trial of a study and its score, or a completed run and its own.

        A suite has none: its arms are compared, not chosen from.
        """
        if self.kind == "study":
            trial = best_trial(read_trials(self.folder, self.name))
            if trial is None or trial.score is None:
                return None
            return f"trial {trial.number}", trial.score
        record = read_record(self.folder) if self.kind == "run" else None
        score = record.score("validation") if record and record.status == "completed" else None
        return None if score is None else (self.name, score)

    def records(self) -> list[tuple[str, RunRecord]]:
        """Return the name and record of each run in it that has one, in order.

        A verification's runs leave parts of its table and no records.

        Raises:
            UserError: Its plan is broken.
        """
        if self.kind == "verification":
            return []
        if self.kind == "run":
            record = read_record(self.folder)
            return [(self.name, record)] if record else []
        from ..report.records import read_study, read_tasks

        if self.kind == "suite":
            tasks = read_tasks(self.folder).values()
            return [(run.name, run.record) for task in tasks for run in task.runs.values()]
        study = read_study(self.folder)
        rows = [(f"trial {number}", run.record) for number, run in study.trials.items()]
        return rows + ([(REFERENCE, study.reference.record)] if study.reference else [])


def everything(storage: Path | None) -> list[Named]:
    """Return all that lies in the home, or under ``storage``: studies first, each kind by name."""
    return [
        Named(kind, folder)
        for kind in FOLDERS
        for folder in sorted(_base(kind, storage).glob("*"))
        if (folder / PLANS[kind]).is_file()
    ]


def find(name: str, storage: Path | None) -> Named:
    """Return what has that name; a study wins over a suite of the same name.

    ``studies/quick`` or ``suites/quick`` tells the two apart.

    Raises:
        UserError: There is none; the message names the nearest.
    """
    known = everything(storage)
    for item in known:
        if name in (item.name, f"{FOLDERS[item.kind]}/{item.name}"):
            return item
    where = storage or home()
    if not known:
        raise UserError(f"nothing called {name}: nothing was run yet under {where}")
    hint = did_you_mean(name, [item.name for item in known])
    raise UserError(f"nothing called {name} under {where}; {hint}")


def changed(record: RunRecord, keys: list[str]) -> dict[str, Any]:
    """Return the values of dotted settings in a record's configuration.

    Those that the run's method does not look at are ``None``.
    """
    values: dict[str, Any] = {}
    for key in keys:
        if not is_used(key, record.config["method"]):
            values[key] = None
            continue
        node: Any = record.config
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        values[key] = node
    return values


def _base(kind: Kind, storage: Path | None) -> Path:
    # Single runs always live in the home.
    return (home() if kind == "run" or storage is None else storage) / FOLDERS[kind]
