"""What a run reads, by contents: examples, labels, split and the model's files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config import RunConfig
from ...errors import ConfigError, Problem
from ...store import RunRecord, read_record
from ..models.files import model_files, model_hash
from .load import Data, load_data

_WORDS = {
    "texts": "its texts changed",
    "labels": "its labels changed",
    "split": "its split changed",
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

    def check_same(self, record: RunRecord) -> None:
        """Make sure that a resumed run reads what it read when it started.

        Raises:
            ConfigError: It does not; says what has changed.
        """
        if found := [_problem(*change, "this run") for change in self.changes(record)]:
            raise ConfigError(found)

    def changes(self, record: RunRecord) -> Iterator[tuple[str, str]]:
        """Yield what differs from what the run of a record has read; see ``changes_between``."""
        now = record.model_copy()
        self.note(now)
        return changes_between(record, now)


def changes_between(before: RunRecord, after: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield what two runs have read differently though their settings name the same inputs.

    What a record does not know (nothing was read yet, or an earlier version of this package wrote
    it) does not differ.

    Yields:
        The setting that names it, and words for people, to be followed by "since ...".
    """
    if before.data_hash and after.data_hash and before.data_hash != after.data_hash:
        changed = _differing(before.data_parts, after.data_parts)
        known = [part for part in _WORDS if part in changed and part in before.data_parts]
        what = _WORDS[known[0]] if known else "its texts, labels or split changed"
        setting, name = _source(after.config)
        yield setting, f"{name}: {what}"
    if before.model_hash and after.model_hash and before.model_hash != after.model_hash:
        files = ", ".join(_differing(before.model_files, after.model_files))
        yield "model.name_or_path", f"{after.config['model']['name_or_path']}: {files} changed"


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]


def inputs_of(config: RunConfig) -> Inputs:
    """Read what a run would read.

    Raises:
        ConfigError: Data, columns or model are missing.
        UserError: The hub or the package index cannot be reached.
    """
    return inputs_with(load_data(config), config)


class InputsOnce:
    """What several runs read; each data set and model is read once."""

    def __init__(self) -> None:
        self._known: dict[str, Inputs] = {}

    def of(self, config: RunConfig) -> Inputs:
        """Return what a run would read; see ``inputs_of``."""
        key = reading(config)
        if key not in self._known:
            self._known[key] = inputs_of(config)
        return self._known[key]


def check_inputs_unchanged(folders: Iterable[Path]) -> None:
    """Make sure that started runs would read the same today: data, split, model.

    Args:
        folders: Of the runs; those without a readable record are passed over.

    Raises:
        ConfigError: Something has changed; says what, and since which run.
        UserError: The hub or the package index cannot be reached.
    """
    once, found = InputsOnce(), dict[tuple[str, str], str]()
    for folder in folders:
        try:
            record = read_record(folder)
            config = RunConfig.model_validate(record.config) if record else None
        except ValueError:
            continue  # damaged, or of another version of this package
        if record is not None and config is not None and record.data_hash:
            for change in once.of(config).changes(record):
                found.setdefault(change, folder.name)
    if found:
        raise ConfigError([_problem(*change, name) for change, name in found.items()])


def reading(config: RunConfig) -> str:
    """Return a text that is the same for runs whose settings make them read the same."""
    return RunConfig(
        task=config.task,
        data=config.data,
        model=config.model,
        protocol=config.protocol,
        language=config.language,
    ).fingerprint()


def inputs_with(data: Data, config: RunConfig) -> Inputs:
    """Return what a run reads, given its data."""
    return Inputs(data.hash, _parts(data), model_files(config.model))


def _problem(setting: str, words: str, run: str) -> Problem:
    remedy = "restore it, or start again under another name"
    return Problem(setting, f"{words} since {run} began; {remedy}")


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


def _source(config: Mapping[str, Any]) -> tuple[str, str]:
    """Return which setting names the sentences of a run, and what they are called."""
    data = config["data"]
    named = [data[key] for key in ("path", "test_path") if data.get(key)]
    return ("data.path", ", ".join(named)) if named else ("task", config["task"])
