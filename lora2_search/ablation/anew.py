"""What a suite writes of itself while it runs: a new one begins without it."""

from __future__ import annotations

from typing import Any

from ..errors import Problem
from ..source import KeyPath, Source
from .suite import Suite

# Of each, what a file would have to say instead, as far as there is such a thing.
_WRITTEN: dict[KeyPath, str] = {
    ("tuning", "extended"): "`extend` says how often a grid may move on",
    ("tuned",): "settings that are known belong to the arms",
    ("open_ends",): "",
    ("added_seeds",): "`seeds` lists them all",
}
# A stored plan spells out both; nobody writes them by hand.
_OF_STORED = {"cells", "tuned"}


def refuse_written(source: Source) -> None:
    """Make sure that a file does not hold what only a suite that runs writes of itself.

    The copy of a suite that ran may: it begins anew (``begun_anew``).

    Raises:
        ConfigError: It does; each such key with its place.
    """
    if source.data.keys() >= _OF_STORED:
        return
    problems = [
        Problem(".".join(path), _refusal(remedy), source.place(path))
        for path, remedy in _WRITTEN.items()
        if _value(source.data, path)
    ]
    if problems:
        raise source.error(problems)


def begun_anew(suite: Suite) -> Suite:
    """Return a suite as before its first run: what happened to the one it copies has not to it."""
    changes: dict[str, Any] = {"tuned": None, "added_seeds": [], "open_ends": {}}
    if suite.tuning is not None:
        changes["tuning"] = suite.tuning.model_copy(update={"extended": {}})
    return suite.model_copy(update=changes)


def _refusal(remedy: str) -> str:
    told = f"; {remedy}" if remedy else ""
    return f"is written by the suite itself while it runs; leave it out{told}"


def _value(data: Any, path: KeyPath) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data
