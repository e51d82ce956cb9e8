"""Find what was run by its name: studies, suites, single runs and verifications."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..analysis import outcome_cells
from ..config import is_used
from ..config.space import HEAD_ONLY, Space, fresh_name, named_key, reference_name, rung_name
from ..config.suite import Suite
from ..errors import UserError, did_you_mean
from ..search import best_trial, climb_of, front_of, read_trials, winner_of
from ..store import (
    LEASE_PREFIX,
    LOCK_FILE,
    OWNER_FILE,
    RECORD_FILE,
    SPACE_FILE,
    SUITE_FILE,
    Damaged,
    Progress,
    RunRecord,
    home,
    is_owned,
    progress_of,
    read_record,
)
from .progress import study_progress

if TYPE_CHECKING:
    from ..analysis import StudyRuns, SuiteRuns
    from ..search import StudyTrial

Kind = Literal["study", "suite", "run", "verification"]

FOLDERS: dict[Kind, str] = {
    "study": "studies",
    "suite": "suites",
    "run": "runs",
    "verification": "verifications",
}

PLANS: dict[Kind, str] = {
    "study": SPACE_FILE,
    "suite": SUITE_FILE,
    "run": RECORD_FILE,
    "verification": "verification.json",
}

# What a record says of a trial, by what Optuna says.
_STATUS = {"COMPLETE": "completed", "PRUNED": "pruned", "FAIL": "failed"}


_STATUS |= {"RUNNING": "running", "WAITING": "running"}


@dataclass(frozen=True)
class Lost:
    """A run whose record cannot be read.

    Attributes:
        name: Of the run, for people.
        state: What is known of it from elsewhere, else ``damaged``.
        score: Its validation score, from the same source.
        why: Which file is damaged, and how.
    """

    name: str
    state: str
    score: float | None
    why: str


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
    def plan(self) -> Space | Suite | None:
        """What a study or suite was started from; ``None`` for others."""
        from ..analysis import read_plan

        if self.kind == "study":
            return read_plan(self.folder, Space)
        return read_plan(self.folder, Suite) if self.kind == "suite" else None

    @property
    def floor_name(self) -> str:
        """What the run without an adapter of a study is called; empty for others."""
        return reference_name(self.plan, HEAD_ONLY) if isinstance(self.plan, Space) else ""

    @property
    def metric(self) -> str | None:
        """What it is judged by: a study's objective; ``None`` for the task's primary metric."""
        if isinstance(self.plan, Space):
            return self.plan.objective.metric
        return self.plan.metric if self.plan else None

    # Read once, as its records are: of thousands of trials each takes a second.
    @cached_property
    def trials(self) -> tuple[StudyTrial, ...]:
        """The trials of a study."""
        return read_trials(self.folder, self.name)

    @cached_property
    def is_running(self) -> bool:
        """Whether a process is running it."""
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
            return study_progress(self.folder, self.trials, self._space).state
        if self.kind == "suite":
            from ..ablation import suite_progress

            return suite_progress(self.folder).state
        return "running" if self.is_running else self.state_of(self._record().status)

    @property
    def extent(self) -> Progress:
        """How many parts of a verification are measured; it has no runs of its own.

        Raises:
            UserError: Its plan is broken.
        """
        from ..verification import parts_done, read_rows

        done, total = parts_done(self.folder)
        over = done == total and bool(read_rows(self.folder))
        return progress_of(self.folder, "parts", done, total, over)

    def state_of(self, status: str) -> str:
        """Return the state of one of its runs, given what the run's record says.

        A run that was killed, or interrupted, could not write that it stopped.
        """
        return "stopped" if status == "running" and not self.is_running else status

    def waiting(self) -> dict[str, Mapping[str, Any]]:
        """Return the settings of trials that were proposed and have no record yet, by name."""
        if self.kind != "study":
            return {}
        return {
            f"trial {trial.number}": trial.params
            for trial in self.trials
            if trial.state == "RUNNING" and trial.record is None and not trial.damage
        }

    def best(self) -> tuple[str, float] | None:
        """Return the best trial of a study and its score, or a completed run and its own.

        Of a winner that fresh seeds confirm it is the mean over those that are reported.

        A suite has none: its arms are compared, not chosen from.
        """
        if self.kind == "study":
            winner = winner_of(self._space, self.folder, self.trials)
            climbed = climb_of(self._space, self.folder, self.trials)
            trial = best_trial(self.trials, self._space, winner, climbed)
            if trial is None or trial.score is None:
                return None
            reported = winner.reported if winner else None
            mean = reported.validation.estimate if reported else None
            return f"trial {trial.number}", trial.score if mean is None else mean
        record = self._record() if self.kind == "run" else None
        score = record.score("validation") if record and record.status == "completed" else None
        return None if score is None else (self.name, score)

    def outcomes(self) -> dict[str, dict[str, float | bool | None]]:
        """Return the objectives of a study's complete trials, and how they stand, by name.

        Empty where it has one objective and no constraint; see `analysis.outcome_cells`.
        """
        if not isinstance(self.plan, Space):
            return {}
        front = {trial.number for trial in front_of(self.trials, self.plan)}
        cells = {
            f"trial {trial.number}": outcome_cells(trial.outcome, self.plan, trial.number in front)
            for trial in self.trials
            if trial.outcome is not None
        }
        return {name: values for name, values in cells.items() if values}

    def records(self) -> list[tuple[str, RunRecord]]:
        """Return the name and record of each run in it that has one, in order.

        A verification's runs leave parts of its table and no records.

        Raises:
            UserError: Its plan is broken.
        """
        if self.kind == "verification":
            return []
        if self.kind == "run":
            return [(self.name, self._record())]
        if self.kind == "suite":
            return [(run.name, run.record) for task in self._tasks for run in task.runs.values()]
        study = self._study
        seeds = self.plan.seeds if isinstance(self.plan, Space) else 1
        rows = [
            (fresh_name(n, run.record.config["seed"]) if seeds > 1 else f"trial {n}", run.record)
            for n, run in study.trials.items()
        ]
        rows += [(name, run.record) for name, run in study.references.items()]
        again = [*study.seeds.items(), *study.fresh.items()]
        rows += [(named_key(key), run.record) for key, run in again]
        rows += [(rung_name(key), run.record) for key, run in study.rungs.items()]
        return rows + ([(self.floor_name, study.reference.record)] if study.reference else [])

    def lost(self) -> list[Lost]:
        """Return the runs in it that have ended, or begun, and have no record that can be read."""
        if self.kind == "study":
            return [
                Lost(f"trial {trial.number}", _STATUS[trial.state], trial.score, trial.damage)
                for trial in self.trials
                if trial.number not in self._study.trials and trial.damage
            ]
        if self.kind == "suite":
            tasks = self._tasks
            names = {name: task.troubles for task in tasks for name in task.unreadable}
            return [
                Lost(name, "damaged", None, _about(name, troubles))
                for name, troubles in names.items()
            ]
        return []

    def troubles(self, predictions: bool = True) -> list[str]:
        """Return which of its files are damaged, one sentence each, while the rest can be read.

        Args:
            predictions: Look at those of a suite too, which takes a while.

        Raises:
            UserError: Its plan, or everything in it, is broken.
        """
        from ..analysis import damaged_predictions

        sentences = [lost.why for lost in self.lost()]
        if self.kind == "study":
            sentences += self._study.troubles
        elif self.kind == "suite":
            for task in self._tasks:
                sentences += task.troubles
                runs = task.runs.values() if predictions else ()
                sentences += map(str, damaged_predictions(runs))
        elif self.kind == "verification":
            from ..verification import damaged_parts

            sentences += damaged_parts(self.folder)
        return list(dict.fromkeys(sentences))

    @property
    def _space(self) -> Space:
        assert isinstance(self.plan, Space)
        return self.plan

    @cached_property
    def _study(self) -> StudyRuns:
        from ..analysis import read_study

        return read_study(self.folder, self._space)

    @cached_property
    def _tasks(self) -> list[SuiteRuns]:
        from ..analysis import read_tasks

        return list(read_tasks(self.folder).values())

    def _record(self) -> RunRecord:
        record = read_record(self.folder)
        if record is None:
            remedy = f"restore it from a copy, or delete {self.folder}"
            raise Damaged(self.folder / RECORD_FILE, "it is missing", remedy)
        return record


def _about(name: str, troubles: Iterable[str]) -> str:
    return next((line for line in troubles if f"/{name}/" in line), "")


def all_items(storage: Path | None) -> list[Named]:
    """Return all that lies in the home, or under ``storage``: studies first, each kind by name.

    That includes what has lost the file it was started from: reading it raises.
    """
    return [
        Named(kind, folder)
        for kind in FOLDERS
        for folder in sorted(_base(kind, storage).glob("*"))
        if _is_one(kind, folder)
    ]


def find_item(name: str, storage: Path | None) -> Named:
    """Return what has that name; a study wins over a suite of the same name.

    ``studies/quick`` or ``suites/quick`` tells the two apart.

    Raises:
        UserError: There is none; the message names the nearest.
    """
    known = all_items(storage)
    for item in known:
        if name in (item.name, f"{FOLDERS[item.kind]}/{item.name}"):
            return item
    where = storage or home()
    if not known:
        raise UserError(f"nothing called {name}: nothing has been run yet under {where}")
    hint = did_you_mean(name, [item.name for item in known])
    raise UserError(f"nothing called {name} under {where}; {hint}")


def changed(record: RunRecord, keys: list[str]) -> dict[str, object]:
    """Return the values of dotted settings in a record's configuration.

    Those that the run's method does not use are ``None``.
    """
    values: dict[str, object] = {}
    for key in keys:
        if not is_used(key, record.config["method"]):
            values[key] = None
            continue
        node: Any = record.config
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        values[key] = node
    return values


def _is_one(kind: Kind, folder: Path) -> bool:
    if not folder.is_dir() or folder.name.startswith("."):
        return False
    # One that was refused, or has only just begun, holds a lock and nothing else.
    has_files = any(
        path.name not in (LOCK_FILE, OWNER_FILE) and not path.name.startswith(LEASE_PREFIX)
        for path in folder.iterdir()
    )
    return (folder / PLANS[kind]).exists() or (has_files and not is_owned(folder))


def _base(kind: Kind, storage: Path | None) -> Path:
    # Single runs always live in the home.
    return (home() if kind == "run" or storage is None else storage) / FOLDERS[kind]
