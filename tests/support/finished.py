"""Runs that look as if they had been trained: record, predictions and adapter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora2_search.ablation.reuse import Circumstances
from lora2_search.config.run import RunConfig
from lora2_search.config.space.schema import Resources
from lora2_search.execution.trainable import Run, TrialTrainable
from lora2_search.store.files import write_json
from lora2_search.store.record import RunRecord, read_record
from lora2_search.training.data.inputs import inputs_of
from lora2_search.training.data.load import load_data
from lora2_search.training.models.files import model_files, model_hash
from tests.support.stand_in import iterate

HERE = Circumstances({"torch": "2", "lora2_search": "1"}, "abc", "cpu", 1)


def made(config: RunConfig, circumstances: Circumstances = HERE, **changes: Any) -> RunRecord:
    """Return the record of a run that was completed a moment ago."""
    record = RunRecord(
        fingerprint=config.fingerprint(),
        status="completed",
        config=config.model_dump(mode="json"),
        data_hash=load_data(config).hash,
        model_hash=model_hash(model_files(config.model)),
        metric="accuracy",
        total_steps=10,
        scores={"validation/accuracy": 0.5, "test/accuracy": 0.5},
        started_ms=10**15,
    )
    return record.model_copy(update={**_machine(circumstances), **changes})


def leave(folder: Path, record: RunRecord) -> Path:
    """Write what a run leaves behind and return its folder."""
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "weights").write_text(folder.name)
    (folder / "predictions.parquet").write_text(folder.name)
    write_json(folder / "config.json", record.config)
    record.write(folder)
    return folder


class Finishing(TrialTrainable):
    """A stand-in that leaves what a run leaves."""

    def _start(self, config: RunConfig, folder: Path) -> Run:
        here = Circumstances.here(Resources(gpus_per_trial=0))
        write_json(folder / "config.json", config.model_dump(mode="json"))
        run = iterate(config, folder)
        while True:
            try:
                report = next(run)
            except StopIteration as end:
                return end.value
            record = read_record(folder)
            assert record is not None
            (folder / "adapter").mkdir(exist_ok=True)
            (folder / "predictions.parquet").write_text("")
            record = record.model_copy(update=_machine(here))
            inputs_of(config).note(record)
            record.write(folder)
            yield report


def _machine(circumstances: Circumstances) -> Mapping[str, Any]:
    return {
        "versions": dict(circumstances.versions),
        "code_hash": circumstances.code,
        "device": circumstances.device,
        "threads": circumstances.threads,
    }
