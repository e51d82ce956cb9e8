"""What holds of a study, a suite or a run after any interruption and resume: every point once."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from lora2_search.config.space.schema import load_space
from lora2_search.store.layout import SPACE_FILE, STUDY_FILE
from lora2_search.store.record import RECORD_FILE, RunRecord, read_record
from lora2_search.tracking.spool.params import clean_key
from tests.support.mlflow_study import Stored

ENDED = {"completed", "pruned", "failed"}


def assert_every_point_once(folder: Path, uri: str | None = None) -> None:
    """Compare what record.json, Optuna and MLflow (where there is one) hold of ``folder``.

    A study has Optuna's database; a suite, and a run of its own, have records alone.
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
        _assert_in_optuna(folder, records)
    if uri is not None:
        assert_in_mlflow(Stored(uri, folder.name), records)


def records_under(folder: Path) -> Mapping[str, RunRecord]:
    """Return every record below a folder by the key of its run, which is its folder's name."""
    found = {path.parent.name: read_record(path.parent) for path in folder.rglob(RECORD_FILE)}
    return {key: record for key, record in found.items() if record is not None}


def _assert_in_optuna(folder: Path, records: Mapping[str, RunRecord]) -> None:
    metric = load_space(str(folder / SPACE_FILE)).objective.metric
    # Not through Optuna, whose dictionaries cannot hold a point twice.
    with closing(sqlite3.connect(folder / STUDY_FILE)) as database:
        trials = dict(database.execute("SELECT trial_id, number FROM trials"))
        states = {state for (state,) in database.execute("SELECT state FROM trials")}
        scored = list(
            database.execute(
                "SELECT trial_id, step, intermediate_value FROM trial_intermediate_values "
                "ORDER BY trial_id, step"
            )
        )
    assert sorted(trials.values()) == list(range(len(trials)))
    assert states <= {"COMPLETE", "PRUNED", "FAIL"}, states
    for trial, number in trials.items():
        record = records.get(f"{number:05d}")
        told = [(step, value) for at, step, value in scored if at == trial]
        measured = _scores(record, metric) if record else []
        assert told == list(enumerate(measured, start=1)), number


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
