"""How long tests wait on a machine that runs other things too."""

from __future__ import annotations

BUSY = 3  # so many times as long as on a machine of its own
