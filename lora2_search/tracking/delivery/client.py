"""The only door to MLflow's client: finds before it creates, and names what went wrong."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import first_line
from ...store import variables
from .. import uri as uris
from ..spool.spool import DataSet, Model
from .model import model_folder
from .refusals import ExperimentDeleted, Refused, Unavailable

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

STATUS = {
    "RUNNING": "RUNNING",
    "COMPLETE": "FINISHED",
    "PRUNED": "KILLED",
    "STOPPED": "KILLED",
    "FAIL": "FAILED",
}

KEY_TAG = "lora2.key"

PARENT_TAG = "mlflow.parentRunId"

_REFUSED = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST")

_ENVIRONMENT = {
    # MLflow repeats POST requests by itself: a lost reply to a create would make two runs.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}

_log = logging.getLogger(__name__)

Point = tuple[str, float, int, int]


@contextmanager
def quiet_environment() -> Iterator[None]:
    """Set MLflow's switches for delivery, and put back what was there."""
    with variables(_ENVIRONMENT | uris.without_proxies()):
        yield


class Client:
    """One MLflow store. Every method raises ``Refused`` or ``Unavailable``.

    Use it inside ``quiet_environment``.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        with _named(uri):
            uris.prepare(uri)
            from mlflow import MlflowClient

            self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def experiment(self, name: str, study: str) -> tuple[str, bool]:
        """Return a study's experiment and whether it knew the study already.

        Found by tag, which survives a rename, then by name, which joins studies; else created.

        Raises:
            ExperimentDeleted: It exists but was deleted.
        """
        from mlflow.entities import ViewType

        tag = f"lora2.study.{study}"
        with _named(self._uri):
            tagged = self._client.search_experiments(
                view_type=ViewType.ALL, filter_string=f"tags.`{tag}` = 'yes'"
            )
            if tagged and tagged[0].lifecycle_stage == "deleted":
                raise ExperimentDeleted(
                    f"its experiment was deleted; restore it with "
                    f"`mlflow experiments restore -x {tagged[0].experiment_id}`"
                )
            experiment_id = tagged[0].experiment_id if tagged else self._named_experiment(name)
            if not tagged:
                self._client.set_experiment_tag(experiment_id, tag, "yes")
        return str(experiment_id), bool(tagged)

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of an experiment."""
        with _named(self._uri):
            for key, value in tags.items():
                self._client.set_experiment_tag(experiment_id, key, value)

    def find_run(self, experiment_id: str, key: str, keep: str | None = None) -> str | None:
        """Return the run of that key, deleted or not, ``None`` where there is none.

        Of two, left by a reply that was lost, ``keep`` or else the older stays.
        """
        from mlflow.entities import ViewType

        with _named(self._uri):
            runs = self._client.search_runs(
                [experiment_id], f"tags.`{KEY_TAG}` = '{key}'", run_view_type=ViewType.ALL
            )
            living = [run for run in runs if run.info.lifecycle_stage == "active"]
            order = sorted(
                living or runs,
                key=lambda run: (run.info.run_id != keep, run.info.start_time, run.info.run_id),
            )
            for double in order[1:] if living else ():
                _log.warning("deleted run %s, a duplicate of %s", double.info.run_id, key)
                self._client.delete_run(double.info.run_id)
        return str(order[0].info.run_id) if order else None

    def create_run(
        self, experiment_id: str, name: str, start_ms: int | None, tags: Mapping[str, str]
    ) -> str:
        """Create a run and return its id."""
        with _named(self._uri):
            run = self._client.create_run(experiment_id, start_ms, dict(tags), name)
        return str(run.info.run_id)

    def reopen(self, run_id: str) -> None:
        """Set a run running again."""
        with _named(self._uri):
            self._client.update_run(run_id, status="RUNNING")

    def log(
        self,
        run_id: str,
        points: list[Point],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Send params, points (key, value, ms, step) and tags; what is there already stays."""
        from mlflow.entities import Metric, Param, RunTag

        with _named(self._uri):
            self._client.log_batch(
                run_id,
                metrics=[Metric(*point) for point in points],
                params=[Param(key, value) for key, value in params.items()],
                tags=[RunTag(key, value) for key, value in tags.items()],
                synchronous=True,
            )

    def upload(self, run_id: str, path: Path, to: str) -> None:
        """Copy a file or the content of a folder into a run.

        Raises:
            Refused: There is nothing at ``path``.
        """
        if not path.exists():
            raise Refused(f"there is no {path} to keep")
        with _named(self._uri):
            if path.is_dir():
                self._client.log_artifacts(run_id, str(path), to or None)
            else:
                self._client.log_artifact(run_id, str(path), to or None)

    def log_data(self, run_id: str, data: DataSet) -> None:
        """Name a run's data in MLflow's own field for it; what is there already stays."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        told = Dataset(
            name=data.name,
            digest=data.digest,
            source_type=data.source_type,
            source=data.source,
            profile=json.dumps(data.sizes),
        )
        context = InputTag("mlflow.data.context", ", ".join(data.sizes) or "train")
        with _named(self._uri):
            self._client.log_inputs(run_id, [DatasetInput(told, [context])])

    def log_model(self, run_id: str, model: Model, source: Path) -> None:
        """Keep what a run trained as a model of another run, its parent; once, however often sent.

        Raises:
            Refused: There is nothing to keep in ``source``.
        """
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        with _named(self._uri):
            parent = self._client.get_run(run_id)
            kept = self._kept_model(parent.info.experiment_id, f"{run_id}/{model.key}", model)
            if kept.status != LoggedModelStatus.READY:
                with model_folder(source, run_id, kept.model_id) as folder:
                    self._client.log_model_artifacts(kept.model_id, str(folder))
                self._client.finalize_logged_model(kept.model_id, LoggedModelStatus.READY)
            outputs = parent.outputs.model_outputs if parent.outputs else []
            if kept.model_id not in [output.model_id for output in outputs]:
                self._client.log_outputs(run_id, [LoggedModelOutput(kept.model_id, step=0)])

    def end(self, run_id: str, state: str, end_ms: int) -> None:
        """End a run: pruned and stopped ones are KILLED, for MLflow knows no such states."""
        with _named(self._uri):
            self._client.set_terminated(run_id, STATUS[state], end_ms)

    def is_gone(self, run_id: str) -> bool:
        """Return whether the run lies in MLflow's bin, or not even there."""
        try:
            with _named(self._uri):
                return bool(self._client.get_run(run_id).info.lifecycle_stage == "deleted")
        except Refused:
            return True

    def _kept_model(self, experiment_id: str, key: str, model: Model) -> LoggedModel:
        """Find the model of that key or create it; of two, left by a lost reply, the older stays.

        A deleted one is not found: a run that is offered again gets another.
        """
        found = self._client.search_logged_models(
            [experiment_id],
            f"tags.`{KEY_TAG}` = '{key}'",
            order_by=[{"field_name": "creation_time"}],
        )
        for double in found[1:]:
            _log.warning("deleted model %s, a duplicate of %s", double.model_id, key)
            self._client.delete_logged_model(double.model_id)
        if found:
            return found[0]
        return self._client.create_logged_model(
            experiment_id,
            re.sub(r"[^\w\-]+", "-", model.name),
            source_run_id=key.partition("/")[0],
            tags={KEY_TAG: key},
            params=dict(model.params),
            model_type="lora2_search",
        )

    def _named_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        folder = uris.artifact_folder(self._uri)
        for number in range(1, 100):
            # A name in MLflow's bin is still taken.
            candidate = name if number == 1 else f"{name} ({number})"
            location = str(folder / re.sub(r"[^\w\-.]+", "-", candidate)) if folder else None
            try:
                return str(self._client.create_experiment(candidate, location))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            existing = self._client.get_experiment_by_name(candidate)
            if existing is not None and existing.lifecycle_stage == "active":
                return str(existing.experiment_id)
        raise Refused(f"a hundred deleted experiments are called {name}")


@contextmanager
def _named(uri: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        kind = Refused if error.error_code in _REFUSED else Unavailable
        raise kind(_why(error, uri)) from error
    except (OSError, SQLAlchemyError) as error:
        raise Unavailable(_why(error, uri)) from error


def _why(error: BaseException, uri: str) -> str:
    return uris.redacted(first_line(error), uri)[:500]
