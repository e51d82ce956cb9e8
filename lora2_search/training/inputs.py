"""What a run reads, by contents: its sentences, their labels and split, its model's files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..config import RunConfig
from .data import Data, load_data
from .model_files import model_files, model_hash
from .record import RunRecord

_WORDS = {
    "texts": "its texts are others",
    "labels": "its labels are others",
    "split": "its rows are split otherwise into train, validation and test",
}


@dataclass(frozen=True)
class Inputs:
    """What a run reads.

    Attributes:
        data_hash: ``Data.hash``.
        data_parts: sha256 of ``texts`` and of ``labels`` (each with its text) in whatever order,
            and of the ``split``; the first that differs tells what has changed.
        model_files: sha256 of every file of the model, by name.
    """

    data_hash: str
    data_parts: Mapping[str, str]
    model_files: Mapping[str, str]

    @property
    def model_hash(self) -> str:
        """One sha256 over all files of the model."""
        return model_hash(self.model_files)

    def note(self, record: RunRecord) -> None:
        """Keep all of it in a record."""
        record.data_hash, record.data_parts = self.data_hash, dict(self.data_parts)
        record.model_hash, record.model_files = self.model_hash, dict(self.model_files)

    def changes(self, record: RunRecord) -> Iterator[tuple[str, str]]:
        """Yield what differs from what the run of a record has read, as (setting, words).

        What the record does not know (nothing was read yet, or an earlier version of this package
        wrote it) does not differ.
        """
        if record.data_hash and record.data_hash != self.data_hash:
            known = [part for part in self.data_parts if part in record.data_parts]
            changed = [p for p in known if record.data_parts[p] != self.data_parts[p]]
            words = _WORDS[changed[0]] if changed else "its texts, labels or split are others"
            yield _where(RunConfig.model_validate(record.config)), words
        if record.model_hash and record.model_hash != self.model_hash:
            names = sorted({*record.model_files, *self.model_files})
            changed = [n for n in names if record.model_files.get(n) != self.model_files.get(n)]
            yield "model.name_or_path", f"other contents of {', '.join(changed)}"


def inputs_of(config: RunConfig) -> Inputs:
    """Read what a run would read.

    Raises:
        ConfigError: Data, columns or model are missing.
        UserError: The hub or the package index cannot be reached.
    """
    return inputs_with(load_data(config), config)


def inputs_with(data: Data, config: RunConfig) -> Inputs:
    """Return what a run reads, whose sentences were read already."""
    return Inputs(data.hash, _parts(data), model_files(config.model))


def _parts(data: Data) -> dict[str, str]:
    rows = [
        ("\x1f".join(texts), label)
        for split in data.splits.values()
        for *texts, label in zip(*split.texts, split.labels.tolist(), strict=True)
    ]
    return {
        "texts": _digest(sorted(text for text, _ in rows)),
        "labels": _digest(f"{text}\x1f{label!r}" for text, label in sorted(rows)),
        "split": data.hash,
    }


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\x1e")
    return digest.hexdigest()


def _where(config: RunConfig) -> str:
    return "data.path" if config.data.path else "task"
