"""The data of a run as MLflow's own field for it has it."""

from __future__ import annotations

import json
from pathlib import Path

from ...config import GLUE_TASKS, METAMATH, DataConfig, RunConfig
from ...store import RunRecord, home
from ...training import (
    GLUE_ID,
    GLUE_REVISION,
    METAMATH_ID,
    METAMATH_REVISION,
    TASK_ASSETS,
)
from .spool import DataSet

# Of MLflow's 36 characters; the whole hash is the tag `data_hash`.
_DIGEST_LENGTH = 8


def data_set(config: RunConfig, record: RunRecord) -> DataSet | None:
    """Return what a run learnt from and was scored on; ``None`` where its data was never read."""
    if not record.data_hash:
        return None
    task, data = config.task, config.data
    digest, sizes = record.data_hash[:_DIGEST_LENGTH], record.sizes
    if data.path is None and (hub := _on_hub(task, data)) is not None:
        name, source = hub
        return DataSet(
            name=name,
            digest=digest,
            source_type="hugging_face",
            source=json.dumps(source),
            sizes=sizes,
        )
    packaged = task in TASK_ASSETS
    path = home() / "assets" / TASK_ASSETS[task] if packaged else Path(data.path or task)
    return DataSet(
        name=path.name if task == "custom" else task,
        digest=digest,
        source_type="local",
        source=json.dumps({"uri": str(path.expanduser().absolute())}),
        sizes=sizes,
    )


def _on_hub(task: str, data: DataConfig) -> tuple[str, dict[str, str]] | None:
    """Return what a data set of the Hub is called and where it is; ``None`` for others."""
    if task in GLUE_TASKS:
        revision = data.revision or GLUE_REVISION
        return f"glue/{task}", {"path": GLUE_ID, "config_name": task, "revision": revision}
    if task == METAMATH:
        return task, {"path": METAMATH_ID, "revision": data.revision or METAMATH_REVISION}
    return None
