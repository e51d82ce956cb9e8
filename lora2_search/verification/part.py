"""One part of a verification: a run of one arm with one seed, and what is looked at beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stored import Damaged, set_aside, stored_json
from ..training.record import write_json

PARTS_FOLDER = "parts"


@dataclass(frozen=True)
class Part:
    """A run and the probes beside it.

    Attributes:
        arm: Which settings it has.
        seed: Its seed.
        probes: What is measured beside it.
    """

    arm: str
    seed: int
    probes: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.arm}, seed {self.seed}"

    def path(self, folder: Path) -> Path:
        """Return the file of its results in a verification's folder."""
        return folder / PARTS_FOLDER / f"{self.arm}-seed{self.seed}.json"

    def read(self, folder: Path) -> dict[str, Any] | None:
        """Return its results by probe; ``None`` where they were not all measured yet.

        A damaged file counts as not measured: `damage` says so.
        """
        found = _read(self.path(folder))
        if found is None:
            return None
        whole = "diverged" in found or set(self.probes) <= found.keys()
        return found if whole else None

    def write(self, folder: Path, results: dict[str, Any]) -> None:
        """Keep results, beside those of other probes that an earlier run of it measured."""
        path = self.path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        earlier = _read(path) or {}
        if self.damage(folder):
            set_aside(path)
        write_json(path, earlier | results)

    def damage(self, folder: Path) -> str | None:
        """Return what is wrong with the file of its results, ``None`` where nothing is."""
        try:
            stored_json(self.path(folder), "it is measured anew by the same `verify` command")
        except Damaged as damage:
            return str(damage)
        return None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] | None = stored_json(path)
    except Damaged:
        return None
    return found
