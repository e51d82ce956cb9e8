"""Where studies or suites stand by name, and what an unknown name means."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import NameInUse, UserError, did_you_mean
from .files import Damaged
from .paths import home


@dataclass(frozen=True)
class Shelf:
    """All studies, or all suites, of a home or a shared storage folder.

    Attributes:
        what: ``study`` or ``suite``, for messages.
        plural: The same in the plural: the name of the folder.
        file: What each one was begun from, inside its own folder.
    """

    what: str
    plural: str
    file: str

    def folder(self, name: str, storage: Path | None = None) -> Path:
        """Return where the one of that name is, or would be."""
        return (storage.expanduser().absolute() if storage else home()) / self.plural / name

    def stored(self, name: str, storage: Path | None = None) -> Path:
        """Return the file that the one of that name was begun from.

        Raises:
            UserError: There is none of that name; the message lists those there are.
        """
        path = self.folder(name, storage) / self.file
        if path.is_dir() or (not path.exists() and any(path.parent.glob("*/*"))):
            why = "it is a folder" if path.is_dir() else "it is missing"
            raise Damaged(path, why, "restore it from a copy")
        if not path.is_file():
            shelf = path.parent.parent
            known = sorted(item.parent.name for item in shelf.glob(f"*/{self.file}"))
            hint = did_you_mean(name, known) if known else f"there are no {self.plural} yet"
            raise UserError(f"no {self.what} named {name} in {shelf}; {hint}")
        return path

    def check_free(self, name: str, storage: Path | None = None) -> None:
        """Make sure that a new one may take the name.

        Raises:
            NameInUse: It is in use.
        """
        folder = self.folder(name, storage)
        if (folder / self.file).exists():
            raise NameInUse(self.what, name, folder)

    def check_same(
        self, new: Mapping[str, Any], old: Mapping[str, Any], free: Collection[str]
    ) -> None:
        """Make sure that a resume changes nothing but the keys in ``free``.

        Raises:
            UserError: It does; the message names them.
        """
        differing = [key for key in new if new[key] != old[key] and key not in free]
        if differing:
            raise UserError(
                f"the {self.what} {new['name']} was started with other settings "
                f"({', '.join(differing)}); a resume may change only {', '.join(free)}: "
                "take another name"
            )
