"""A written page as an object: a path, what a notebook shows, and a browser's window."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path

_HEIGHT = 800


@dataclass(frozen=True)
class Page(PathLike[str]):
    """A page on disk.

    Attributes:
        path: Its file.
    """

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def open(self) -> bool:
        """Open the page in the user's browser; say whether there is one."""
        try:
            return webbrowser.open(self.path.resolve().as_uri())
        except webbrowser.Error:
            return False

    def _repr_html_(self) -> str:
        return framed(self.path.read_text(encoding="utf-8"))


def framed(page: str) -> str:
    """Return a whole page as part of another one: its scripts run, and reach nothing outside.

    Args:
        page: HTML.
    """
    return (
        f'<iframe srcdoc="{escape(page)}" sandbox="allow-scripts" title="Report" '
        f'style="width: 100%; height: {_HEIGHT}px; border: 0"></iframe>'
    )
