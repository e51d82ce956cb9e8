"""The new records of one run, gathered so that one request carries them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..spool.params import TAG_LENGTH, shortened
from ..spool.spool import Artifact, DataSet, End, Metrics, Model, Record, Start, Tags
from .client import Client, Point
from .refusals import Refused

# Failed and killed runs draw the same red cross: the row's dot tells a pruned one.
_PRUNED_COLOUR = "#d99a08"


class Batch:
    """What several records of one run come to.

    Attributes:
        name: Its name for people, ``None`` when no start is among the records.
        start_ms: When it began.
        state: Its last state, ``None`` when the records do not say.
        points: Values as (key, value, ms, step).
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.name: str | None = None
        self.start_ms = 0
        self.state: str | None = None
        self.points: list[Point] = []
        self._end_ms = 0
        self._params: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self._artifacts: list[Artifact] = []
        self._data: list[DataSet] = []
        self._models: list[Model] = []
        for record in records:
            self._add(record)

    @property
    def ended(self) -> bool:
        """Whether the run is over after these records."""
        return self.state not in (None, "RUNNING")

    @property
    def resumed(self) -> bool:
        """Whether the run goes on after these records, having begun among them."""
        return self.state == "RUNNING"

    def send_all(self, client: Client, run_id: str, folder: Path) -> Iterator[tuple[str, Refused]]:
        """Send everything; yield name and reason of each piece that MLflow refused.

        A refused whole is sent again piece by piece, so that one bad key takes none with it.

        Args:
            client: The store.
            run_id: The run in it.
            folder: What paths of artifacts are relative to.

        Raises:
            Unavailable: Try the whole again later.
        """
        try:
            client.log(run_id, self.points, self._params, self._tags)
        except Refused as error:
            if client.is_gone(run_id):
                yield "run", Refused("it was deleted; restore it in MLflow, then `runs sync`")
                return
            yield from self._send_pieces(client, run_id, error)
        for artifact in self._artifacts:
            try:
                client.upload(run_id, folder / artifact.path, artifact.to)
            except Refused as error:
                yield f"artifact {artifact.path}", error
        for data in self._data:
            try:
                client.log_data(run_id, data)
            except Refused as error:
                yield f"data set {data.name}", error
        for model in self._models:
            try:
                client.log_model(run_id, model, folder / model.path)
            except Refused as error:
                yield f"model {model.name}", error
        if self.ended:
            client.end(run_id, str(self.state), self._end_ms)

    def _send_pieces(
        self, client: Client, run_id: str, refusal: Refused
    ) -> Iterator[tuple[str, Refused]]:
        for kind, values in (("param", self._params), ("tag", self._tags)):
            for key, value in values.items():
                piece = {key: value}
                try:
                    client.log(
                        run_id,
                        [],
                        piece if kind == "param" else {},
                        piece if kind == "tag" else {},
                    )
                except Refused as error:
                    yield f"{kind} {key}", error
        for key in dict.fromkeys(point[0] for point in self.points):
            try:
                client.log(run_id, [point for point in self.points if point[0] == key], {}, {})
            except Refused as error:
                yield f"metric {key}", error

    def _add(self, record: Record) -> None:
        if isinstance(record, Start):
            self.start_ms = self.start_ms or record.time_ms
            self.name, self.state = record.name, "RUNNING"
            self._params |= record.params
            self._tags |= {**record.tags, "state": "RUNNING"}
        elif isinstance(record, Metrics):
            values = record.values.items()
            self.points += [(k, _storable(v), record.time_ms, record.step) for k, v in values]
        elif isinstance(record, Artifact):
            self._artifacts.append(record)
        elif isinstance(record, DataSet):
            self._data.append(record)
        elif isinstance(record, Model):
            self._models.append(record)
        elif isinstance(record, End):
            self._end(record)
        elif isinstance(record, Tags):
            self._tags |= record.tags

    def _end(self, record: End) -> None:
        self.state, self._end_ms = record.state, record.time_ms
        self._tags |= {**record.tags, "state": record.state}
        if record.reason:
            reason = shortened(record.reason, TAG_LENGTH)
            self._tags |= {"reason": reason, "mlflow.note.content": reason}
        if record.state == "PRUNED":
            self._tags["mlflow.runColor"] = _PRUNED_COLOUR


def _storable(value: float) -> float:
    # MLflow turns infinity into the largest float, which spoils every axis; NaN it keeps.
    return math.nan if math.isinf(value) else value
