"""What Optuna's own tools find in a study's database."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from lora2_search.search.ask_tell import AskTell
from lora2_search.search.attributes import describe_study, metric_name
from lora2_search.search.storage import open_study
from lora2_search.store.record import Flag, RunRecord
from tests.support.spaces import space_of


def test_a_value_has_its_metrics_name_and_a_trial_what_its_record_says(tmp_path: Path) -> None:
    space = space_of(task="mrpc", objective={"metric": "f1"})
    for _ in range(2):  # a resume says the same again
        with open_study(tmp_path, space.name) as (study, storage):
            describe_study(study, space)
            source = AskTell(study, storage, space, tmp_path, [], lambda: False)
            run = source.next()
            assert run is not None
            run.folder.mkdir(parents=True, exist_ok=True)
            record = RunRecord(fingerprint="f", status="completed", config={}, device="cpu")
            record.scores, record.counts = {"validation/f1": 0.5}, {"trained_adapter": 336}
            record.rank_pattern, record.timings = {"a": 2, "b": 3}, {"total": 1.5}
            record.flags = [Flag(name="gradient", detail="d", setting="s")]
            record.write(run.folder)
            source.ended(run, "COMPLETE", 0.5, "")
    name, storage_url = space.name, f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.load_study(study_name=name, storage=storage_url)
    assert study.metric_names == ["f1"]
    assert {key: study.user_attrs[key] for key in ("task", "method")} == {
        "task": "mrpc",
        "method": "lora2",
    }
    assert len(study.trials) == 2
    told = dict(study.trials[0].user_attrs)
    assert told.pop("run").startswith("{")
    assert told == {
        "parameters trained": 336,
        "kept rank": 5,
        "device": "cpu",
        "health": "gradient",
        "seconds": 1.5,
    }


@pytest.mark.parametrize(("most", "metric"), [(8, "exact_match"), (0, "token_accuracy")])
def test_a_language_models_value_is_what_it_measures_first(most: int, metric: str) -> None:
    assert metric_name(space_of(task="reviews", language={"max_new_tokens": most})) == metric
