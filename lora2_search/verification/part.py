"""One part of a verification: a run of one arm with one seed, and what is looked at beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        """Return its results by probe; ``None`` where they were not all measured yet."""
        try:
            found: dict[str, Any] = json.loads(self.path(folder).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        whole = "diverged" in found or set(self.probes) <= found.keys()
        return found if whole else None

    def write(self, folder: Path, results: dict[str, Any]) -> None:
        """Keep results, beside those of other probes that an earlier run of it measured."""
        path = self.path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            earlier = {}
        write_json(path, earlier | results)
