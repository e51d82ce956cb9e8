"""Which runs stand outside a search: they are compared with, and never stopped early."""

from __future__ import annotations

from ..observer import RunInfo

REFERENCE_TAGS = {"role": "reference"}


def is_reference(run: RunInfo) -> bool:
    """Return whether a run is there only to be compared with."""
    return run.tags.get("role") == REFERENCE_TAGS["role"]
