"""Which space, suite or run a request means, and under which name it goes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from .ablation.runner import SUITES, suite_progress
from .ablation.suite import Suite, suite_source, validate_suite
from .config import RunConfig, validate
from .errors import ConfigError, UserError, did_you_mean
from .home import home
from .invocation import command_line
from .mistakes import NAME_PATTERN
from .observer import RunInfo
from .search.progress import Progress, study_progress
from .search.proposals import trial_key
from .search.shelf import Shelf
from .search.space import Space, space_source, validate_space
from .search.study import STUDIES, Study
from .source import Source, read_yaml, with_overrides
from .training.record import RECORD_FILE, read_record

RUNS_FOLDER = "runs"
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
            raise ConfigError(
                [
                    replace(item, where=item.where or self.source.place(tuple(item.key.split("."))))
                    for item in error.problems
                ]
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
    "name a suite, for example --suite quick, or one to --resume",
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
) -> Chosen[Space]:
    """Return the space that ``tune`` runs, under a name that is free unless it was asked for.

    ``say`` takes a line about the study whose name it would have had.

    Raises:
        ConfigError: Everything that is wrong with it.
        UserError: No such file or study, or both a space and a study to resume are named.
    """
    return _chosen(
        _SPACES, space, overrides=overrides, name=name, resume=resume, storage=storage, say=say
    )


def chosen_suite(
    suite: str | Path | Suite | None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    storage: Path | None = None,
    say: Callable[[str], None] = _unsaid,
) -> Chosen[Suite]:
    """Return the suite that ``ablate`` runs, under a name that is free unless it was asked for.

    ``say`` takes a line about the suite whose name it would have had.

    Raises:
        ConfigError: Everything that is wrong with it.
        UserError: No such file or suite, or both a file and a suite to resume are named.
    """
    return _chosen(
        _SUITES, suite, overrides=overrides, name=name, resume=resume, storage=storage, say=say
    )


def chosen_run(
    config: str | Path | RunConfig | None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
) -> Chosen[RunInfo]:
    """Return the run that ``train`` makes.

    Without a name it is called by task, method and fingerprint: the same settings go on with the
    same run.

    Raises:
        ConfigError: Everything that is wrong with the configuration.
        UserError: The name is in use or unknown, or both a file and a run to resume are named.
    """
    if resume is not None:
        _refuse_both("run", resume, config, name or ("other settings" if overrides else None))
        stored = _stored_run(resume)
        return Chosen(_run(validate(stored, RunConfig), resume), stored)
    if config is None:
        raise UserError("name a file of settings (--config), a --from-study, or a run to --resume")
    if isinstance(config, RunConfig):
        source = Source(config.model_dump(mode="python"))
    else:
        source = read_yaml(Path(config).expanduser())
    source = with_overrides(source, overrides)
    chosen = validate(source, RunConfig)
    if name is not None and (run_folder(name) / RECORD_FILE).exists():
        raise UserError(
            f"a run named {name} exists ({run_folder(name)}); go on with it by --resume {name}, "
            "or take another name"
        )
    default = f"{chosen.task}-{chosen.method}-{chosen.fingerprint()[:8]}"
    return Chosen(_run(chosen, name or default), source)


def run_folder(name: str) -> Path:
    """Return where the single run of that name is, or would be.

    Raises:
        UserError: It is no name but a path.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(f"a name is letters, digits, dots and dashes, no path, but got {name!r}")
    return home() / RUNS_FOLDER / name


def trial_run(study: Study, number: int | None = None) -> RunInfo | None:
    """Return a trial of a study as a run, by default the best; ``None`` where none is complete.

    Raises:
        UserError: There is no trial of that number.
    """
    trial = study.best
    if number is not None:
        trial = next((item for item in study.trials if item.number == number), None)
        if trial is None:
            have = f"it has 0 to {len(study.trials) - 1}" if study.trials else "it has none yet"
            raise UserError(f"{study.name} has no trial {number}; {have}")
    if trial is None:
        return None
    params = dict(trial.params)
    config = study.space.run_config(params)
    return RunInfo(
        trial_key(trial.number),
        f"trial {trial.number}",
        config,
        params,
        trial.folder,
        metric=study.space.objective.metric,
    )


def _chosen(
    kind: _Kind[Shelved],
    given: str | Path | Shelved | None,
    *,
    overrides: Sequence[str],
    name: str | None,
    resume: str | None,
    storage: Path | None,
    say: Callable[[str], None],
) -> Chosen[Shelved]:
    if resume is not None:
        _refuse_both(kind.shelf.what, resume, given, name)
        stored = kind.read(str(kind.shelf.stored(resume, storage)), overrides)
        return Chosen(kind.check(stored), stored)
    if given is None:
        raise UserError(kind.missing)
    if not isinstance(given, str | Path):
        _refuse_changes(overrides, name)
        return Chosen(given, Source({}))
    assigned = _assigned(overrides, name)
    source = kind.read(str(given), assigned)
    loaded = kind.check(source)
    if not _names(assigned):
        free = _free_name(kind.shelf, loaded.name, storage, kind.progress, say)
        loaded = loaded.model_copy(update={"name": free})
    return Chosen(loaded, source)


def _run(config: RunConfig, name: str) -> RunInfo:
    return RunInfo(name, name, config, {}, run_folder(name))


def _stored_run(name: str) -> Source:
    record = read_record(run_folder(name))
    if record is None:
        folder = home() / RUNS_FOLDER
        known = [path.parent.name for path in folder.glob(f"*/{RECORD_FILE}")]
        hint = did_you_mean(name, known) if known else "there are no runs yet"
        raise UserError(f"no run named {name} in {folder}; {hint}")
    return Source(record.config, name=str(run_folder(name) / RECORD_FILE))


def _refuse_both(kind: str, resume: str, file: object, name: str | None) -> None:
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


def _names(assigned: Sequence[str]) -> bool:
    return any(item.partition("=")[0].strip() == "name" for item in assigned)


def _free_name(
    shelf: Shelf,
    name: str,
    storage: Path | None,
    progress: Callable[[Path], Progress],
    say: Callable[[str], None],
) -> str:
    free, number = name, 1
    while (shelf.folder(free, storage) / shelf.file).exists():
        number += 1
        free = f"{name}-{number}"
    if free != name:
        say(f"{_existing(shelf, name, storage, progress)}; this one is {free}")
    return free


def _existing(
    shelf: Shelf, name: str, storage: Path | None, progress: Callable[[Path], Progress]
) -> str:
    try:
        far = progress(shelf.folder(name, storage))
    except ConfigError:
        return f"{name} exists, but its {shelf.file} is broken"
    remedy = ""
    if far.state == "running":
        remedy = "; it is running"
    elif far.state == "stopped":
        remedy = f"; go on with it by: {command_line(shelf.verb)} {shelf.resumption(name, storage)}"
    return f"{name} exists ({far}{remedy})"
