"""What the shell offers when Tab is pressed: files, names of what was run, settings.

Each function takes what was typed so far and returns whole words. They run at every Tab, so they
look at names of files and folders alone.
"""

from __future__ import annotations

from pathlib import Path

from ..store import home, shipped

_YAML = (".yaml", ".yml")


def spaces(incomplete: str) -> list[str]:
    """Return the shipped spaces, and YAML files where the word points to."""
    return _files("search_spaces", incomplete)


def suites(incomplete: str) -> list[str]:
    """Return the shipped suites, and YAML files where the word points to."""
    return _files("ablations", incomplete)


def studies(incomplete: str) -> list[str]:
    """Return the names of studies."""
    return _names(["studies"], incomplete)


def resumable(incomplete: str) -> list[str]:
    """Return the names of studies, suites and single runs."""
    return _names(["studies", "suites", "runs"], incomplete)


def names(incomplete: str) -> list[str]:
    """Return the names of all that was run; after ``name/`` those of its runs."""
    if "/" in incomplete:
        return _inside(incomplete)
    return _names(["studies", "suites", "runs", "verifications"], incomplete)


def settings(incomplete: str) -> list[str]:
    """Return settings with the sign that assigns a value: ``adapter.k=``."""
    from ..config import known_settings

    return [f"{name}=" for name in known_settings() if name.startswith(incomplete)]


def _files(kind: str, incomplete: str) -> list[str]:
    known = [path.stem for path in shipped(kind).glob("*.yaml") if not path.name.startswith("_")]
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") else typed.parent
    here = [
        f"{path}/" if path.is_dir() else str(path)
        for path in folder.expanduser().glob("[!.]*")
        if path.is_dir() or path.suffix in _YAML
    ]
    return sorted(word for word in {*known, *here} if word.startswith(incomplete))


def _names(folders: list[str], incomplete: str) -> list[str]:
    found = {path.name for folder in folders for path in (home() / folder).glob("[!.]*/")}
    return sorted(name for name in found if name.startswith(incomplete))


def _inside(incomplete: str) -> list[str]:
    outer, _, inner = incomplete.partition("/")
    runs = {
        path.name.lstrip("0") or "0" if path.name.isdigit() else path.name
        for kind in ("studies", "suites")
        for path in (home() / kind / outer).glob("*/*/record.json")
        for path in [path.parent]
    }
    return sorted(f"{outer}/{run}" for run in runs if run.startswith(inner))
