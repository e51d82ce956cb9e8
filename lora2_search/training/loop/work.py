"""What the starter of several processes tells each of them over its connection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...config import RunConfig

# Said to the first process when it is to train on to its next evaluation.
NEXT = "next"


@dataclass(frozen=True)
class Work:
    """What one of the processes has to do.

    Attributes:
        config: The run.
        folder: Its folder.
        metric: What it is judged by; ``None`` for the task's own.
        rank: Number of the process, from 0.
        count: How many there are.
        threads: Torch threads of each.
        place: A folder for the time of the run, in which they meet.
        cwd: The folder to which relative paths refer.
    """

    config: RunConfig
    folder: Path
    metric: str | None
    rank: int
    count: int
    threads: int
    place: Path
    cwd: str
