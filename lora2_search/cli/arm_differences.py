"""What each arm of a suite changes in the end, in words."""

from __future__ import annotations

import json
from typing import Any

from ..ablation.suite import Suite


def difference_lines(suite: Suite) -> list[str]:
    """Return a line an arm: every setting that differs from the base's, defaults included."""
    return [
        f"  {arm}: {', '.join(_told(key, *values) for key, values in changed.items())}"
        for arm, changed in suite.differences().items()
        if changed
    ]


def _told(key: str, before: Any, after: Any) -> str:
    return f"{key} {json.dumps(before)} -> {json.dumps(after)}"
