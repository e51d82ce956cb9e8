"""Where studies or suites stand by name, and what a name in use or unknown means."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, did_you_mean
from .files import Damaged
from .paths import home


@dataclass(frozen=True)
class Shelf:
    """All studies, or all suites, of a home or a shared storage folder.

    Attributes:
        what: ``study`` or ``suite``, for messages.
        plural: The same in the plural: the name of the folder.
        file: What each one was begun from, inside its own folder.
        verb: The command that runs one.
    """

    what: str
    plural: str
    file: str
    verb: str

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

    def check_free(self, name: str, storage: Path | None = None, also: Sequence[str] = ()) -> None:
        """Make sure that a new one may take the name; ``also`` as in ``resumption``.

        Raises:
            UserError: The name is in use.
        """
        folder = self.folder(name, storage)
        if (folder / self.file).exists():
            raise UserError(
                f"a {self.what} named {name} exists ({folder}); go on with it by "
                f"{self.resumption(name, storage, also)}, or choose another name with --name"
            )

    def resumption(self, name: str, storage: Path | None = None, also: Sequence[str] = ()) -> str:
        """Return the options that go on with the one of that name, ready to paste.

        Args:
            name: Which one.
            storage: Where it is, when not in the home.
            also: Options beside those, as the command that was given had them.
        """
        options = ["--resume", name]
        if storage is not None:
            options += ["--storage", str(storage)]
        return shlex.join([*options, *also])

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
