"""Carries the spool of one study to one MLflow store; doing it twice changes nothing."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

from filelock import FileLock

from ...store import Damaged
from ..spool.spool import (
    PARENT_FILE,
    TRACKING_FOLDER,
    End,
    Identity,
    Start,
    parent_path,
    read,
    run_paths,
)
from ..views import view_tags
from .batch import Batch
from .client import KEY_TAG, PARENT_TAG, Client
from .cursor import Cursor, Position, cursor_path, dead_letter_path, load, save
from .refusals import ExperimentDeleted, Refused, Unavailable

EXPERIMENTS = {
    "study": "lora2_search/studies",
    "suite": "lora2_search/suites",
    "verification": "lora2_search/verifications",
}

_GATHER_SECONDS = 5.0

_SAVE_SECONDS = 1.0

_log = logging.getLogger(__name__)


def delivery_lock(folder: Path) -> FileLock:
    """Return the lock that whoever delivers a study holds; the kernel frees it when it dies."""
    # Not with parents: a home that vanished must not come to life under its mount point.
    (folder / TRACKING_FOLDER).mkdir(exist_ok=True)
    return FileLock(folder / TRACKING_FOLDER / ".delivery.lock")


class Delivery:
    """Delivers what the spool holds beyond the cursor. One at a time: hold ``delivery_lock``.

    Attributes:
        cursor: How far it is.
        finished: Whether the parent has ended and all was delivered.
        points: Values delivered by this object.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        self._folder, self._uri = folder, uri
        self._client: Client | None = None
        self._path = cursor_path(folder, uri)
        self._study: Identity | None = None
        self._in_doubt: set[str] = set()
        self._sent: dict[str, float] = {}
        self._saved = 0.0
        self._changed = self._waiting = False
        self.cursor = load(self._path)
        self.finished = False
        self.points = 0

    def retry_refused(self) -> None:
        """Start over with every run that had something refused: it may have been restored."""
        for position in self.cursor.positions():
            if position.refused:
                position.offset, position.run_id, position.refused = 0, None, 0
        dead_letter_path(self._folder, self._uri).unlink(missing_ok=True)

    def round(self, everything: bool) -> None:
        """Deliver new records, the parent's first; of runs that only go on, every 5 s.

        Args:
            everything: Do not wait to gather.

        Raises:
            Unavailable: MLflow cannot be reached. The cursor keeps what was delivered.
            ExperimentDeleted: The study's experiment lies in MLflow's bin.
        """
        # Read before the runs: all they wrote before the parent's end is then read below.
        parent_records = read(parent_path(self._folder)).records
        studies = [record for record in parent_records if isinstance(record, Identity)]
        if not studies:
            return
        marks = [record for record in parent_records if isinstance(record, Start | End)]
        self._waiting = False
        try:
            self._carry(studies[-1], everything)
        except (Unavailable, ExperimentDeleted) as error:
            self._note_trouble(str(error))
            raise
        else:
            self._note_trouble("")
            self.finished = bool(marks) and isinstance(marks[-1], End)
            self.finished &= not self._waiting
        finally:
            self._save(0.0)

    def _carry(self, study: Identity, everything: bool) -> None:
        client = self._connected(study)
        self._deliver(client, PARENT_FILE, parent_path(self._folder), self.cursor.parent, True)
        for key, path, size in run_paths(self._folder):
            position = self.cursor.runs.setdefault(key, Position())
            if size != position.offset:
                try:
                    self._deliver(client, key, path, position, everything)
                except Damaged as damage:  # of one run: the others are delivered
                    _log.warning("%s", damage)
                self._save(_SAVE_SECONDS)

    def _connected(self, study: Identity) -> Client:
        client = self._client or Client(self._uri)
        if study != self._study:
            experiment_id, known = self._experiment(client, study)
            if not known or experiment_id != self.cursor.experiment_id:
                # Another store than the cursor speaks of, or one that was emptied since.
                self.cursor = Cursor(experiment_id=experiment_id)
        self._client, self._study = client, study
        return client

    def _experiment(self, client: Client, study: Identity) -> tuple[str, bool]:
        name = f"{EXPERIMENTS[study.what]}/{study.name}"
        try:
            experiment_id, known = client.experiment(name, study.uuid)
            client.tag_experiment(experiment_id, view_tags(study))
        except Refused as error:
            # Without an experiment nothing can be delivered: the study's name is the trouble.
            raise Unavailable(str(error)) from error
        return experiment_id, known

    def _deliver(
        self, client: Client, key: str, path: Path, position: Position, everything: bool
    ) -> None:
        chunk = read(path, position.offset)
        batch = Batch(chunk.records)
        now = time.monotonic()
        recent = now - self._sent.setdefault(key, now) < _GATHER_SECONDS
        if recent and not everything and not batch.ended:
            self._waiting = True
            return
        for line in chunk.broken:
            _log.warning("%s: skipped a broken line: %.80r", path, line)
        if chunk.records:
            position.refused += self._send(client, key, path.stem, position, batch)
            self.points += len(batch.points)
        position.offset = chunk.end
        self._sent[key] = now
        self._changed = True

    def _send(self, client: Client, key: str, stem: str, position: Position, batch: Batch) -> int:
        """Send a batch and return how many of its pieces were refused."""
        try:
            created = position.run_id is None and self._find_or_create(
                client, key, stem, position, batch
            )
            run_id = str(position.run_id)
            if batch.resumed and not created:
                client.reopen(run_id)
        except Refused as error:
            self._dead_letter(key, "run", error)
            return 1
        refused = 0
        for piece in batch.send_all(client, run_id, self._folder):
            self._dead_letter(key, *piece)
            refused += 1
        if batch.ended and key in self._in_doubt:
            client.find_run(str(self.cursor.experiment_id), self._tag(key, stem), keep=run_id)
            self._in_doubt.discard(key)
        return refused

    def _find_or_create(
        self, client: Client, key: str, stem: str, position: Position, batch: Batch
    ) -> bool:
        """Find the run or create it; return whether it was created."""
        experiment_id, tag = str(self.cursor.experiment_id), self._tag(key, stem)
        position.run_id = client.find_run(experiment_id, tag)
        if position.run_id:
            return False
        tags = {KEY_TAG: tag}
        if key != PARENT_FILE and self.cursor.parent.run_id:
            tags[PARENT_TAG] = self.cursor.parent.run_id
        try:
            position.run_id = client.create_run(
                experiment_id, batch.name or stem, batch.start_ms or None, tags
            )
        except Unavailable:
            # It may yet be created: by a server that hangs and then goes on.
            self._in_doubt.add(key)
            raise
        return True

    def _tag(self, key: str, stem: str) -> str:
        assert self._study is not None
        return self._study.uuid if key == PARENT_FILE else f"{self._study.uuid}/{stem}"

    def _dead_letter(self, key: str, what: str, error: Refused) -> None:
        _log.warning("MLflow refused %s of %s: %s", what, key, error)
        line = json.dumps({"run": key, "what": what, "error": str(error)})
        with dead_letter_path(self._folder, self._uri).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _note_trouble(self, text: str) -> None:
        self._changed |= text != self.cursor.trouble
        self.cursor.trouble = text

    def _save(self, after_seconds: float) -> None:
        now = time.monotonic()
        if self._changed and now - self._saved >= after_seconds:
            save(self.cursor, self._path)
            self._saved, self._changed = now, False
