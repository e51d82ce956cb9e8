"""What a command asks for: a new study or suite, or one to go on with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..ablation import SUITES, begun, path_to_winner, suite_progress
from ..config import RunInfo, Source, with_overrides
from ..config.space import Space, space_source, validate_space
from ..config.suite import (
    Suite,
    begun_anew,
    refuse_written,
    suite_source,
    validate_suite,
    with_more_seeds,
)
from ..errors import ConfigError, UserError
from ..search import STUDIES
from ..store import Progress, Shelf, command_line
from .elsewhere import begun_elsewhere
from .progress import study_progress

_NAMES = (".data.path", ".data.test_path", ".model.name_or_path")


def located(source: Source) -> Source:
    """Return a run, space or suite whose paths no longer depend on the working folder.

    Those of sentences and of models that are there (else it is a name on the hub), wherever they
    are written: as settings, in an arm, a task, a level, a grid or a list of choices.
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


Plan = TypeVar("Plan", Space, Suite, RunInfo)


Shelved = TypeVar("Shelved", Space, Suite)


@dataclass(frozen=True)
class Chosen(Generic[Plan]):
    """What a request means.

    Attributes:
        plan: What is run.
        source: Where its settings stand; without places when they came from Python.
    """

    plan: Plan
    source: Source

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Give the mistakes that are found in the block, after the reading, their places."""
        try:
            yield
        except ConfigError as error:
            raise self.source.error(
                replace(item, where=item.where or self.source.place(tuple(item.key.split("."))))
                for item in error.problems
            ) from None


@dataclass(frozen=True)
class _Kind(Generic[Shelved]):
    """Where spaces, or suites, are kept and how they are read; ``missing`` says what to name."""

    shelf: Shelf
    read: Callable[[str, Sequence[str]], Source]
    check: Callable[[Source], Shelved]
    progress: Callable[[Path], Progress]
    missing: str


_SPACES = _Kind(
    STUDIES,
    space_source,
    validate_space,
    study_progress,
    "name a space, for example --space quickstart.yaml, or a study to --resume",
)


_SUITES = _Kind(
    SUITES,
    suite_source,
    validate_suite,
    suite_progress,
    "name a suite, for example --suite quick, a study (--from-study), or one to --resume",
)


def _unsaid(line: str) -> None:
    """Say nothing."""


def chosen_space(
    space: str | Path | Space | None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    storage: Path | None = None,
    say: Callable[[str], None] = _unsaid,
    also: Sequence[str] = (),
) -> Chosen[Space]:
    """Return the space that ``tune`` runs, under a name that is free unless it was asked for.

    ``say`` takes a line about the study whose name it would have had, and how to go on with it:
    with the options ``also`` beside name and storage.

    Raises:
        ConfigError: Everything that is wrong with it.
        UserError: No such file or study, or both a space and a study to resume are named.
    """
    return _chosen(
        _SPACES,
        space,
        overrides=overrides,
        name=name,
        resume=resume,
        storage=storage,
        say=say,
        also=also,
    )


def chosen_suite(
    suite: str | Path | Suite | Source | None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    storage: Path | None = None,
    resume_from: Path | None = None,
    from_study: str | None = None,
    add_seeds: int | None = None,
    until_decided: bool = False,
    say: Callable[[str], None] = _unsaid,
    also: Sequence[str] = (),
) -> Chosen[Suite]:
    """Return the suite that ``ablate`` runs, under a name that is free unless it was asked for.

    Args:
        suite: A file, the name of a shipped one, a suite, or what a file would hold.
        overrides: ``key=value`` assignments over the file.
        name: Its name.
        resume: Name of a suite to go on with.
        storage: Where ``suites/`` is.
        resume_from: Instead of ``suite``: the archive of a suite that was begun elsewhere.
        from_study: Instead of ``suite``: the ablation path to the winner of the study of that name.
        add_seeds: With ``resume``: how many seeds it gets beyond those that it has.
        until_decided: Give it seeds by its plan ``sequential``, not those of the file.
        say: Takes a line about the suite whose name it would have had, and how to go on with it.
        also: Options that going on needs beside name and storage, for that line.

    Raises:
        ConfigError: Everything that is wrong with it.
        UserError: No such file or suite, or requests that exclude each other.
    """
    if from_study is not None or resume_from is not None:
        _refuse_two(suite, from_study, resume, resume_from)
    if from_study is not None:
        suite = path_to_winner(from_study, storage)
    if resume_from is not None:
        assigned = _assigned(overrides, name)
        chosen = Chosen(*begun_elsewhere(resume_from.expanduser(), assigned, storage, also))
    else:
        chosen = _chosen(
            _SUITES,
            suite,
            overrides=overrides,
            name=name,
            resume=resume,
            storage=storage,
            say=say,
            also=also,
        )
    plan, is_new = chosen.plan, resume is None and resume_from is None
    if is_new:
        refuse_written(chosen.source)
        plan = begun_anew(plan)
    elif plan.until_decided and _assigns(overrides, "seeds"):
        raise _own_seeds(plan)
    if add_seeds is not None:
        plan = _with_seeds_added(plan, add_seeds, resume)
    if is_new and (until_decided or plan.until_decided):
        plan = begun(plan)
    elif until_decided and not plan.until_decided:
        raise UserError(
            f"the suite {plan.name} was begun with a fixed number of seeds: to look at it again "
            "and again now would find differences too often; begin another one, with other seeds "
            "(--set seed=N), by --until-decided"
        )
    return replace(chosen, plan=plan)


def _chosen(
    kind: _Kind[Shelved],
    given: str | Path | Shelved | Source | None,
    *,
    overrides: Sequence[str],
    name: str | None,
    resume: str | None,
    storage: Path | None,
    say: Callable[[str], None],
    also: Sequence[str],
) -> Chosen[Shelved]:
    if resume is not None:
        refuse_both(kind.shelf.what, resume, given, name)
        stored = kind.read(str(kind.shelf.stored(resume, storage)), overrides)
        return Chosen(kind.check(stored), stored)
    if given is None:
        raise UserError(kind.missing)
    if not isinstance(given, str | Path | Source):
        _refuse_changes(overrides, name)
        return Chosen(given, Source({}))
    assigned = _assigned(overrides, name)
    if isinstance(given, Source):
        source = with_overrides(given, assigned)
    else:
        source = kind.read(str(given), assigned)
    source.check_size()
    source = located(source)
    loaded = kind.check(source)
    if not _assigns(assigned, "name"):
        free = _free_name(kind, loaded.name, storage, say, also)
        loaded = loaded.model_copy(update={"name": free})
    return Chosen(loaded, source)


def _refuse_two(*given: object) -> None:
    if sum(item is not None for item in given) > 1:
        raise UserError(
            "a suite is a file (--suite), a path to a study's winner (--from-study) or one to go "
            "on with (--resume, --resume-from): name one of the three"
        )


def _with_seeds_added(suite: Suite, count: int, resume: str | None) -> Suite:
    if resume is None:
        raise UserError(
            "seeds are added to a suite that exists: say --resume NAME --add-seeds N; a new one "
            "takes --set seeds=N"
        )
    if suite.until_decided:
        raise _own_seeds(suite)
    return with_more_seeds(suite, count)


def _own_seeds(suite: Suite) -> UserError:
    return UserError(
        f"the suite {suite.name} gets its seeds by its own plan, until it is decided; go on "
        f"with it by --resume {suite.name} alone"
    )


def refuse_both(kind: str, resume: str, file: object, name: str | None) -> None:
    """Make sure that a resume comes without a file and without a name.

    Raises:
        UserError: It does not.
    """
    if file is not None or name is not None:
        raise UserError(
            f"a {kind} goes on with its own settings and name: say --resume {resume} without "
            f"{'a file' if file is not None else name}"
        )


def _refuse_changes(overrides: Sequence[str], name: str | None) -> None:
    if overrides or name:
        raise UserError("overrides and a name are for files; change the object itself instead")


def _assigned(overrides: Sequence[str], name: str | None) -> list[str]:
    # Quoted: as YAML, 42 is a number and `no` is false.
    return [*overrides, *([f"name={json.dumps(name)}"] if name is not None else [])]


def _assigns(assigned: Sequence[str], key: str) -> bool:
    return any(item.partition("=")[0].strip() == key for item in assigned)


def _free_name(
    kind: _Kind[Shelved],
    name: str,
    storage: Path | None,
    say: Callable[[str], None],
    also: Sequence[str],
) -> str:
    shelf = kind.shelf
    free, number = name, 1
    while (shelf.folder(free, storage) / shelf.file).exists():
        number += 1
        free = f"{name}-{number}"
    if free != name:
        say(f"{_existing(kind, name, storage, also)}; this one is {free}")
    return free


def _existing(kind: _Kind[Shelved], name: str, storage: Path | None, also: Sequence[str]) -> str:
    shelf = kind.shelf
    try:
        far = kind.progress(shelf.folder(name, storage))
    except ConfigError:
        return f"{name} exists, but its {shelf.file} is broken"
    remedy = ""
    if far.state == "running":
        remedy = "; it is running"
    elif far.state == "stopped":
        options = shelf.resumption(name, storage, also)
        remedy = f"; go on with it by: {command_line(shelf.verb)} {options}"
    return f"{name} exists ({far}{remedy})"
