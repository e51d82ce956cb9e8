"""What a run reads, by contents: its sentences, their labels and split, its model's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..config import RunConfig
from ..training.data import Data, load_data
from ..training.model_files import model_files, model_hash
from ..training.record import RunRecord


@dataclass(frozen=True)
class Inputs:
    """What a run reads.

    Attributes:
        data_hash: ``Data.hash``.
        model_files: sha256 of every file of the model, by name.
    """

    data_hash: str
    model_files: Mapping[str, str]

    @property
    def model_hash(self) -> str:
        """One sha256 over all files of the model."""
        return model_hash(self.model_files)

    def changes(self, record: RunRecord) -> Iterator[tuple[str, str]]:
        """Yield what differs from what the run of a record has read, as (setting, words).

        What the record does not know (nothing was read yet, or an earlier version of this package
        wrote it) does not differ.
        """
        if record.data_hash and record.data_hash != self.data_hash:
            words = "its texts, labels or split are others"
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
    return Inputs(data.hash, model_files(config.model))


def _where(config: RunConfig) -> str:
    return "data.path" if config.data.path else "task"
