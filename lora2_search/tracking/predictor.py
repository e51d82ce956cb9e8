"""What MLflow's ``pyfunc`` loads: the model of a run, from its record and its safetensors.

MLflow imports this module by name. Nothing is unpickled and no code comes out of the model's
folder; the pretrained model is read from where it was trained from.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import TASKS, RunConfig
from ..errors import UserError
from ..store import RunRecord, read_record
from ..training import TrainedModel, model_files, model_hash

if TYPE_CHECKING:
    import pandas as pd


def _load_pyfunc(data_path: str) -> Predictor:
    return Predictor(Path(data_path))


class Predictor:
    """A trained model that answers for texts.

    Args:
        folder: Holds a run's ``record.json`` and ``adapter/``.

    Raises:
        UserError: They are not there, or the pretrained model is not the one of the run.
    """

    def __init__(self, folder: Path) -> None:
        record = read_record(folder)
        if record is None:
            raise UserError(f"{folder} holds no record of a run, so it is no model of lora2_search")
        config = RunConfig.model_validate(record.config)
        _check_same_base(config, record)
        self._classes = record.classes
        self._texts = tuple(config.data.text or TASKS[config.task].text)
        self._model = TrainedModel(record, folder)

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        """Return a frame with a row per row of ``model_input``, as ``predictions.parquet`` has it.

        ``prediction`` is the class's name, or the number; ``score_0`` ... are the logits.

        Args:
            model_input: The task's text columns, under the names that it was trained with.
            params: Not used; MLflow passes it.
        """
        import pandas as pd

        said = self._model.predict([model_input[n].astype(str).tolist() for n in self._texts])
        values: list[Any] = said.values.tolist()
        if self._classes:
            values = [None if v != v else self._classes[int(v)] for v in values]
        columns: dict[str, Any] = {"prediction": values}
        columns |= {f"score_{i}": said.logits[:, i] for i in range(said.logits.shape[1])}
        return pd.DataFrame(columns, index=model_input.index)


def _check_same_base(config: RunConfig, record: RunRecord) -> None:
    found = model_hash(model_files(config.model))
    # Of a hub model nothing is known before it is downloaded.
    if found and record.model_hash and found != record.model_hash:
        raise UserError(
            f"the files of {config.model.name_or_path} are not those that this model was trained "
            f"on (sha256 {found[:8]} here, {record.model_hash[:8]} there); restore them"
        )
