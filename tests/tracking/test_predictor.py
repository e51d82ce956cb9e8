"""The winner as MLflow loads it: its answers are those of its record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.run_info import RunInfo
from lora2_search.errors import UserError
from lora2_search.store.record import RunRecord
from lora2_search.tracking.delivery.sync import sync
from lora2_search.tracking.predictor import Predictor
from lora2_search.tracking.spool.observer import SpoolObserver
from lora2_search.training.data.load import load_data
from lora2_search.training.loop.run import run
from tests.support.mlflow_study import Stored, parent
from tests.training.test_run import settings


def trained(config: RunConfig, folder: Path) -> RunRecord:
    return run(with_settings(config, {"training.epochs": 0.5, "training.evaluations": 1}), folder)


def asked(config: RunConfig, split: str = "test") -> pd.DataFrame:
    data = load_data(config)
    return pd.DataFrame(dict(zip(config.data.text or (), data.splits[split].texts, strict=True)))


def check_same(said: pd.DataFrame, record: RunRecord, folder: Path) -> None:
    kept = pd.read_parquet(folder / "predictions.parquet")
    kept = kept[kept.split == "test"]
    names = [record.classes[int(number)] for number in kept.prediction]
    assert list(said.prediction) == names
    scores = ["score_0", "score_1"]
    np.testing.assert_array_equal(said[scores].to_numpy(), kept[scores].to_numpy())


def test_mlflow_loads_the_winner_and_it_answers_as_its_record_says(
    tiny_bert: Path, reviews_csv: Path, folder: Path, uri: str, stored: Stored
) -> None:
    import mlflow

    config = settings(tiny_bert, reviews_csv)
    winner = RunInfo("00000", "trial 0", config, {}, folder / "trials" / "00000")
    record = trained(config, winner.folder)
    observer = SpoolObserver(folder, parent(config=config))
    observer.ended(winner, "COMPLETE", record, "")
    observer.close("COMPLETE", winner=winner)
    assert sync(folder, uri).refused == 0
    (output,) = stored.parent().outputs.model_outputs
    mlflow.set_tracking_uri(uri)
    try:
        model = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
    finally:
        mlflow.set_tracking_uri(None)
    check_same(model.predict(asked(config)), record, winner.folder)
    assert model.metadata.signature.inputs.input_names() == ["review"]
    (made,) = folder.parents[1].glob("store/mlartifacts/**/MLmodel")
    files = [path for path in made.parent.rglob("*") if path.is_file()]
    assert files and not [path for path in files if path.suffix in (".pkl", ".bin", ".pt", ".py")]


def test_another_base_model_and_half_an_adapter_are_refused(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_bert, base)
    trained(settings(base, reviews_csv), tmp_path / "run")
    (tmp_path / "run" / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"adapter_model\.safetensors is broken: it is missing"):
        Predictor(tmp_path / "run")
    shape = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**shape, "attention_probs_dropout_prob": 0.2}))
    with pytest.raises(UserError, match="are not those that this model was trained on"):
        Predictor(tmp_path / "run")
