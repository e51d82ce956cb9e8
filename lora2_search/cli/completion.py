"""What the shell offers when Tab is pressed: files, names of what was run, settings.

Each function takes what was typed so far and returns whole words. They run at every Tab, so they
look at names of files and folders alone. Where nothing is returned, bash and zsh offer files, and
write blanks in them as they have to be written: so paths are left to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..store import home, shipped

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_YAML = (".yaml", ".yml")


def spaces(incomplete: str) -> list[str]:
    """Return the shipped spaces and the YAML files of this folder."""
    return _files("search_spaces", incomplete)


def suites(incomplete: str) -> list[str]:
    """Return the shipped suites and the YAML files of this folder."""
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
    """Return the settings of a run with the sign that assigns a value: ``adapter.k=``.

    Where one is left, also with its choices or its default: shells would set a blank behind the
    sign if there were nothing to choose from.
    """
    from ..config import RunConfig, setting_fields

    return _assigned(setting_fields(RunConfig), incomplete)


def space_settings(incomplete: str) -> list[str]:
    """Return those of a run and a space's own: ``trials=``, ``sampler.name=``."""
    from ..config import setting_fields
    from ..config.space import Space

    return _assigned(setting_fields(Space), incomplete)


def suite_settings(incomplete: str) -> list[str]:
    """Return those of a run and a suite's own: ``seeds=``, ``tuning.total=``."""
    from ..config import setting_fields
    from ..config.suite import WRITTEN_KEYS, Suite

    known = setting_fields(Suite).items()
    return _assigned({n: info for n, info in known if n not in WRITTEN_KEYS}, incomplete)


def _assigned(known: Mapping[str, FieldInfo], incomplete: str) -> list[str]:
    from ..config import known_values

    words = [f"{name}=" for name in known if f"{name}=".startswith(incomplete)]
    name = words[0][:-1] if len(words) == 1 else incomplete.partition("=")[0]
    if name in known and (len(words) == 1 or "=" in incomplete):
        words = [f"{name}=", *(f"{name}={value}" for value in known_values(known[name]))]
    return [word for word in words if word.startswith(incomplete)]


def _files(kind: str, incomplete: str) -> list[str]:
    if "/" in incomplete or (incomplete and _begins_folder(incomplete)):
        return []
    known = [path.stem for path in shipped(kind).glob("*.yaml") if not path.name.startswith("_")]
    here = [path.name for path in Path().glob("[!.]*") if path.suffix in _YAML]
    words = (word for word in {*known, *here} if word.split() == [word])
    return sorted(word for word in words if word.startswith(incomplete))


def _begins_folder(incomplete: str) -> bool:
    return any(path.is_dir() for path in Path().glob(f"{escape(incomplete)}*"))


def _names(folders: list[str], incomplete: str) -> list[str]:
    found = {path.name for folder in folders for path in (home() / folder).glob("[!.]*/")}
    return sorted(name for name in found if name.startswith(incomplete))


def _inside(incomplete: str) -> list[str]:
    outer, _, inner = incomplete.partition("/")
    runs = {
        str(int(folder.name)) if folder.name.isdigit() else folder.name
        for kind in ("studies", "suites")
        for folder in (record.parent for record in (home() / kind / outer).glob("*/*/record.json"))
    }
    return sorted(f"{outer}/{run}" for run in runs if run.startswith(inner))
