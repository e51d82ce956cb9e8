"""What holds of a study, a suite or a run after any interruption and resume: every point once."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from optuna.storages.journal._storage import JournalOperation as Operation
from optuna.trial import TrialState

from lora2_search.config.space.schema import load_space
from lora2_search.store.layout import JOURNAL_FILE, SPACE_FILE, STUDY_FILE
from lora2_search.store.record import RECORD_FILE, RunRecord, read_record
from lora2_search.tracking.spool.params import clean_key
from tests.support.mlflow_study import Stored

ENDED = {"completed", "pruned", "failed"}


def assert_every_point_once(folder: Path, uri: str | None = None) -> None:
    """Compare what record.json, Optuna and MLflow (where there is one) hold of ``folder``.

    A study has Optuna's database or journal; a suite, and a run of its own, have records alone.
    """
    records = records_under(folder)
    assert records, f"nothing was run in {folder}"
    for key, record in records.items():
        assert record.status in ENDED, (key, record.status)
        steps = [point.step for point in record.history]
        assert steps == sorted(set(steps)), (key, steps)
        if record.status == "completed":
            assert steps[-1] == record.total_steps, key
    if (folder / STUDY_FILE).is_file():
        _assert_in_optuna(folder, records, _in_database(folder / STUDY_FILE))
    elif (folder / JOURNAL_FILE).is_file():
        _assert_in_optuna(folder, records, _in_journal(folder / JOURNAL_FILE))
    if uri is not None:
        assert_in_mlflow(Stored(uri, folder.name), records)


def records_under(folder: Path) -> Mapping[str, RunRecord]:
    """Return every record below a folder by the key of its run, which is its folder's name."""
    found = {path.parent.name: read_record(path.parent) for path in folder.rglob(RECORD_FILE)}
    return {key: record for key, record in found.items() if record is not None}


@dataclass
class _Trial:
    """What Optuna was told of a trial, read past its own classes, which hold no point twice."""

    number: int
    state: str
    points: list[tuple[int, float]] = field(default_factory=list)


def _assert_in_optuna(folder: Path, records: Mapping[str, RunRecord], trials: list[_Trial]) -> None:
    metric = load_space(str(folder / SPACE_FILE)).objective.metric
    assert [trial.number for trial in trials] == list(range(len(trials)))
    states = {trial.state for trial in trials}
    assert states <= {"COMPLETE", "PRUNED", "FAIL"}, states
    for trial in trials:
        record = records.get(f"{trial.number:05d}")
        measured = _scores(record, metric) if record else []
        assert sorted(trial.points) == list(enumerate(measured, start=1)), trial.number


def _in_database(path: Path) -> list[_Trial]:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT trial_id, number, state FROM trials ORDER BY number")
        trials = {id_: _Trial(number, state) for id_, number, state in rows}
        for id_, step, score in database.execute(
            "SELECT trial_id, step, intermediate_value FROM trial_intermediate_values"
        ):
            trials[id_].points.append((step, score))
    return list(trials.values())


def _in_journal(path: Path) -> list[_Trial]:
    trials: list[_Trial] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        operation = entry["op_code"]
        if operation == Operation.CREATE_TRIAL:
            state = TrialState(entry.get("state", TrialState.RUNNING))
            trials.append(_Trial(len(trials), state.name))
        elif operation == Operation.SET_TRIAL_STATE_VALUES:
            trials[entry["trial_id"]].state = TrialState(entry["state"]).name
        elif operation == Operation.SET_TRIAL_INTERMEDIATE_VALUE:
            point = (entry["step"], entry["intermediate_value"])
            trials[entry["trial_id"]].points.append(point)
    return trials


def _scores(record: RunRecord, metric: str | None) -> list[float]:
    name = f"validation/{metric or record.metric}"
    return [point.metrics[name] for point in record.history if name in point.metrics]


def assert_in_mlflow(stored: Stored, records: Mapping[str, RunRecord]) -> None:
    """Compare what MLflow holds with the records of the runs, by key."""
    runs, found = stored.runs(), stored.points()
    assert runs.keys() == records.keys()
    statuses = {run.info.status for run in [*runs.values(), stored.parent()]}
    assert statuses <= {"FINISHED", "KILLED", "FAILED"}, statuses
    assert set(found.values()) <= {1}
    recorded = {
        (key, name, point.step)
        for key, record in records.items()
        for point in record.history
        for name in map(clean_key, point.metrics)
    }
    names = {name for _, name, _ in recorded}
    assert Counter(point for point in found if point[1] in names) == Counter(recorded)
    complete = {key: record for key, record in records.items() if record.status == "completed"}
    summaries = {(key, "score", record.history[-1].step) for key, record in complete.items()}
    assert Counter(point for point in found if point[1] == "score") == Counter(summaries)
    for key, record in complete.items():
        assert runs[key].data.metrics["score"] in record.scores.values(), key
