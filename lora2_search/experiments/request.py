"""What a use case is asked for, and what it means: a new study or suite, or one to resume."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..config import RunConfig, RunInfo, Source, with_overrides
from ..config.space import Space
from ..config.suite import Suite
from ..errors import Argument, ConfigError, RequestError, UserError
from ..store import Progress, Shelf
from ..training import Observer

_NAMES = (".data.path", ".data.test_path", ".model.name_or_path")

What = TypeVar("What", Space, Suite, RunConfig)

Plan = TypeVar("Plan", Space, Suite, RunInfo)

Shelved = TypeVar("Shelved", Space, Suite)


def say_nothing(line: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Request(Generic[What]):
    """What is asked for.

    Attributes:
        what: A file, the name of a shipped one, a value, or what a file would hold; ``None`` with
            ``resume``.
        overrides: ``key=value`` assignments over the file.
        name: The name; by default one that is free.
        resume: The name of one to resume.
    """

    what: str | Path | What | Source | None = None
    overrides: Sequence[str] = ()
    name: str | None = None
    resume: str | None = None

    @property
    def assigned(self) -> list[str]:
        """The assignments, that of the name among them."""
        # Quoted: as YAML, 42 is a number and `no` is false.
        called: list[str] = [f"name={json.dumps(self.name)}"] if self.name is not None else []
        return [*self.overrides, *called]

    def assigns(self, key: str) -> bool:
        """Whether a key is assigned."""
        return any(item.partition("=")[0].strip() == key for item in self.assigned)


@dataclass(frozen=True)
class RunOptions:
    """How it is run; nothing here changes a result.

    Attributes:
        storage: Where ``studies/`` and ``suites/`` are; by default the home.
        address: A Ray cluster: ``auto`` or ``host:port``; ``None`` for this machine alone.
        tracking_uri: The MLflow store; by default ``$MLFLOW_TRACKING_URI``, else in the home.
        reuse: Take over runs that other suites and studies of the storage have completed.
        observers: Notified of what happens, in this process.
        say: Takes a line for people.
        devices: Processes that ``train`` lets train its run together, each on a device of its own.
    """

    storage: Path | None = None
    address: str | None = None
    tracking_uri: str | None = None
    reuse: bool = True
    observers: Sequence[Observer] = ()
    say: Callable[[str], None] = say_nothing
    devices: int = 1


@dataclass(frozen=True)
class NameTaken:
    """A name that is in use, so that another one was chosen.

    Attributes:
        name: The name.
        file: What the holder of the name was started from.
        progress: Its progress; ``None`` where its file is broken.
    """

    name: str
    file: str
    progress: Progress | None

    def message(self, again: str) -> str:
        """Return a sentence about it; ``again`` says how to resume it."""
        if self.progress is None:
            return f"{self.name} exists, but its {self.file} is broken"
        remedies = {"running": "; it is running", "stopped": f"; resume it with{again}"}
        return f"{self.name} exists ({self.progress}{remedies.get(self.progress.state, '')})"


@dataclass(frozen=True)
class Resolved(Generic[Plan]):
    """What a request means.

    Attributes:
        plan: What is run; it was checked.
        source: Where its settings stand; without places when they came from Python.
        resumed: Whether it exists and is resumed.
        taken: What has the name that it would have had.
        archive: Where finished runs of a suite are taken from.
    """

    plan: Plan
    source: Source
    resumed: bool = False
    taken: NameTaken | None = None
    archive: Path | None = None

    def say_name_taken(
        self, say: Callable[[str], None], again: Callable[[str], str] | None = None
    ) -> None:
        """Say whose name was in use, if one was.

        Args:
            say: Takes the line.
            again: Returns what resumes the holder of a name; by default the Python argument.
        """
        if self.taken is not None:
            name = self.taken.name
            how = f" resume={name!r}" if again is None else f": {again(name)}"
            say(f"{self.taken.message(how)}; this one is {self.plan.name}")

    @contextmanager
    def locating_errors(self) -> Iterator[None]:
        """Give problems found in the block, after reading, their places in the file."""
        try:
            yield
        except ConfigError as error:
            raise self.source.error(
                replace(item, where=item.where or self.source.place(tuple(item.key.split("."))))
                for item in error.problems
            ) from None


@dataclass(frozen=True)
class StoredKind(Generic[Shelved]):
    """Where spaces, or suites, are kept and how they are read; ``missing`` says what to name."""

    shelf: Shelf
    read: Callable[[str, Sequence[str]], Source]
    check: Callable[[Source], Shelved]
    spelled_out: Callable[[Shelved], dict[str, Any]]
    progress: Callable[[Path], Progress]
    missing: Sequence[str | Argument]


def resolve(
    kind: StoredKind[Shelved], request: Request[Shelved], storage: Path | None
) -> Resolved[Shelved]:
    """Return what a request means, checked, under a name that is free unless it was asked for.

    Raises:
        ConfigError: Everything that is wrong with it.
        UserError: No such file or name, or both a file and something to resume are named.
    """
    given = request.what
    if request.resume is not None:
        refuse_both(kind.shelf.what, request.resume, given, request.name)
        stored = kind.read(str(kind.shelf.stored(request.resume, storage)), request.overrides)
        return Resolved(kind.check(stored), stored, resumed=True)
    if given is None:
        raise RequestError(*kind.missing)
    if not isinstance(given, str | Path | Source):
        if request.assigned:
            raise UserError("overrides and a name are for files; change the object itself instead")
        return Resolved(kind.check(Source(kind.spelled_out(given), name=given.name)), Source({}))
    if isinstance(given, Source):
        source = with_overrides(given, request.assigned)
    else:
        source = kind.read(str(given), request.assigned)
    source.check_size()
    source = with_location(source)
    plan = kind.check(source)
    if request.assigns("name"):
        return Resolved(plan, source)
    free = _free_name(kind.shelf, plan.name, storage)
    if free == plan.name:
        return Resolved(plan, source)
    taken = _taken(kind, plan.name, storage)
    return Resolved(plan.model_copy(update={"name": free}), source, taken=taken)


def refuse_both(kind: str, resume: str, file: object, name: str | None) -> None:
    """Make sure that a resume comes without a file and without a name.

    Raises:
        UserError: It does not.
    """
    if file is not None or name is not None:
        raise RequestError(
            f"a {kind} resumes with its own settings and name: use ",
            Argument("resume", resume),
            f" without {'a file' if file is not None else name}",
        )


def with_location(source: Source) -> Source:
    """Return a run, space or suite whose paths no longer depend on the working folder.

    Paths of data, and of models that exist (any other name is on the hub), wherever they are
    written: as settings, in an arm, a task, a level, a grid or a list of choices.
    """
    return replace(source, data=_located(source.data, ""))


def _located(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _located(inner, f"{name}.{key}") for key, inner in value.items()}
    if isinstance(value, list):
        return [_located(inner, name) for inner in value]
    setting = name.removesuffix(".choices")
    if isinstance(value, str) and value:
        path = os.path.expanduser(value)
        # What is not there is refused later, by the name that was given.
        if setting.endswith(_NAMES) and os.path.exists(path):
            return os.path.abspath(path)
    return value


def _free_name(shelf: Shelf, name: str, storage: Path | None) -> str:
    free, number = name, 1
    while (shelf.folder(free, storage) / shelf.file).exists():
        number += 1
        free = f"{name}-{number}"
    return free


def _taken(kind: StoredKind[Shelved], name: str, storage: Path | None) -> NameTaken:
    try:
        progress = kind.progress(kind.shelf.folder(name, storage))
    except ConfigError:
        return NameTaken(name, kind.shelf.file, None)
    return NameTaken(name, kind.shelf.file, progress)
