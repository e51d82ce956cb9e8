"""Why a run lost its process: its own fault, which is tried again a few times, or its node's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import Preempted
from .memory import LackOfMemory

# Ray's words, and our own: an error that was pickled is not read back.
_NO_FAULT = (
    "node has died",
    "node was terminated",
    "is unavailable:",
    "receives a SIGTERM",
    f"{Preempted.__name__}:",
)

_HEAD = "Failure # "


@dataclass(frozen=True)
class Loss:
    """What is known of the end of a process.

    Attributes:
        reason: The last line of what Ray said.
        own: Whether the process died by itself: killed, out of memory, an error in it. Else its
            node was lost or announced to go, and the run only moves.
    """

    reason: str
    own: bool = True


def last_loss(path: str | None) -> Loss:
    """Return the last entry of the file in which Tune keeps a trial's errors."""
    text = Path(path).read_text(encoding="utf-8") if path else ""
    latest = text.rpartition(_HEAD)[2]
    written = [line.strip() for line in latest.splitlines() if line.strip()]
    last = written[-1] if written else "no reason given"
    reason = last.rpartition(f"{LackOfMemory.__name__}: ")[2]
    return Loss(reason, own=not any(words in latest for words in _NO_FAULT))
