"""Whether the files of a run are whole, as far as that can be told without torch."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .files import Damaged, reading, stored_json
from .layout import CHECKPOINT_STATE
from .record import CHECKPOINT_FOLDER, Point

_TENSORS = "state.safetensors"

_STEP = re.compile(r"\d+")

# The first bytes of a safetensors file: how long its header is.
_LENGTH_BYTES = 8


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of a run.

    Attributes:
        folder: Where it lies.
        step: Optimiser steps done.
        damage: What is wrong with it; ``None`` where it is whole.
        history: Metrics by step.
        timings: Seconds, as in a record.
        code_hash: Of the code that wrote it.
    """

    folder: Path
    step: int
    damage: Damaged | None
    history: list[Point] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    code_hash: str = ""


def checkpoints(run: Path) -> list[Checkpoint]:
    """Return the checkpoints of a run's folder, the earliest first."""
    found = sorted((run / CHECKPOINT_FOLDER).glob("*"))
    return [_checkpoint(folder) for folder in found if _STEP.fullmatch(folder.name)]


def check_tensors(path: Path) -> None:
    """Make sure that a safetensors file has a header, and all the bytes of which that speaks.

    Raises:
        Damaged: It does not.
    """
    with reading(path):
        data = path.open("rb")
        with data:
            length = int.from_bytes(data.read(_LENGTH_BYTES), "little")
            size = path.stat().st_size
            if not 0 < length <= size - _LENGTH_BYTES:
                raise ValueError("it has no header")
            header = json.loads(data.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name[:2] != "__"]
        missing = _LENGTH_BYTES + length + max(ends, default=0) - size
        if missing > 0:
            raise ValueError(f"its last {missing:,} bytes are missing")


def _checkpoint(folder: Path) -> Checkpoint:
    step = int(folder.name)
    try:
        state: dict[str, Any] = stored_json(folder / CHECKPOINT_STATE)
        if state is None:
            raise Damaged(folder / CHECKPOINT_STATE, "it is missing")
        if not (folder / _TENSORS).exists():
            raise Damaged(folder / _TENSORS, "it is missing")
        check_tensors(folder / _TENSORS)
        with reading(folder / CHECKPOINT_STATE):
            return Checkpoint(
                folder,
                int(state["step"]),
                None,
                [Point.model_validate(point) for point in state["history"]],
                dict(state["timings"]),
                state.get("code_hash") or "",
            )
    except Damaged as damage:
        return Checkpoint(folder, step, damage)
