"""A run's trained model as a folder that MLflow loads, without a pickle in it."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ... import __version__
from ...config import TASKS
from ...store import ADAPTER_FOLDER, RunRecord, readable_record
from .refusals import Refused

# By name, because MLflow's loader imports it by name: a model of ours needs this package.
LOADER = "lora2_search.tracking.predictor"

_DATA = "data"

_LIBRARIES = ("torch", "transformers", "peft")


@contextmanager
def model_folder(run: Path, run_id: str, model_id: str) -> Iterator[Path]:
    """Yield a passing folder: MLflow's ``MLmodel``, the run's record and its adapter.

    Args:
        run: The run's folder.
        run_id: MLflow's name of the run that the model belongs to.
        model_id: MLflow's name of the model.

    Raises:
        Refused: The run left no record or no adapter.
    """
    from mlflow.models import Model
    from mlflow.pyfunc import save_model

    record = readable_record(run)
    if record is None or not (run / ADAPTER_FOLDER).is_dir():
        raise Refused(f"there is no record and adapter in {run} to keep")
    with tempfile.TemporaryDirectory() as scratch:
        data, made = Path(scratch) / _DATA, Path(scratch) / "model"
        shutil.copytree(run / ADAPTER_FOLDER, data / ADAPTER_FOLDER)
        # Its curves are in MLflow already.
        record.model_copy(update={"history": []}).write(data)
        with warnings.catch_warnings():
            # An example would be asked of the model, which is loaded for that.
            warnings.filterwarnings("ignore", message=".*input example was not provided")
            save_model(
                made,
                loader_module=LOADER,
                data_path=str(data),
                mlflow_model=Model(run_id=run_id, model_id=model_id),
                signature=_signature(record),
                pip_requirements=_requirements(record),
            )
        yield made


def _signature(record: RunRecord) -> object:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    texts = record.config["data"]["text"] or TASKS[record.config["task"]].text
    answer = "string" if record.classes else "double"
    scores = [ColSpec("float", f"score_{i}") for i in range(len(record.classes) or 1)]
    return ModelSignature(
        inputs=Schema([ColSpec("string", name) for name in texts]),
        outputs=Schema([ColSpec(answer, "prediction"), *scores]),
    )


def _requirements(record: RunRecord) -> list[str]:
    pinned = [f"{name}=={record.versions[name]}" for name in _LIBRARIES if name in record.versions]
    return [f"lora2_search=={__version__}", *pinned]
