"""Where and when something was measured."""

from __future__ import annotations

import os
import platform
from datetime import date


def today_here() -> str:
    """Return date, architecture and cores, as the pages tell them."""
    return f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores"
