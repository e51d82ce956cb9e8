"""Which space, suite or run a request means, and under which name it goes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from .ablation.runner import stored_suite, suite_folder
from .ablation.suite import SUITE_FILE, Suite, load_suite
from .config import RunConfig, validate
from .errors import UserError, did_you_mean
from .home import home
from .observer import RunInfo
from .search.proposals import trial_key
from .search.space import SPACE_FILE, Space, load_space
from .search.study import Study, stored_space, study_folder
from .source import Source, read_yaml, with_overrides
from .training.record import RECORD_FILE, read_record

RUNS_FOLDER = "runs"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def chosen_space(
    space: str | Path | Space | None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    storage: Path | None = None,
) -> Space:
    """Return the space that ``tune`` runs, under a name that is free unless it was asked for.

    Raises:
        ConfigError: Everything that is wrong with it.
        UserError: No such file or study, or both a space and a study to resume are named.
    """
    if resume is not None:
        _refuse_both("study", resume, space, name)
        return stored_space(resume, storage, overrides)
    if space is None:
        raise UserError("name a space, for example --space quickstart.yaml, or a study to --resume")
    if isinstance(space, Space):
        _refuse_changes(overrides, name)
        return space
    assigned = _assigned(overrides, name)
    loaded = load_space(str(space), assigned)
    if _names(assigned):
        return loaded
    taken = lambda other: (study_folder(other, storage) / SPACE_FILE).exists()  # noqa: E731
    return loaded.model_copy(update={"name": _free_name(loaded.name, taken)})


def chosen_suite(
    suite: str | Path | Suite | None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    storage: Path | None = None,
) -> Suite:
    """Return the suite that ``ablate`` runs, under a name that is free unless it was asked for.

    Raises:
        ConfigError: Everything that is wrong with it.
        UserError: No such file or suite, or both a file and a suite to resume are named.
    """
    if resume is not None:
        _refuse_both("suite", resume, suite, name)
        return stored_suite(resume, storage, overrides)
    if suite is None:
        raise UserError("name a suite, for example --suite quick, or one to --resume")
    if isinstance(suite, Suite):
        _refuse_changes(overrides, name)
        return suite
    assigned = _assigned(overrides, name)
    loaded = load_suite(str(suite), assigned)
    if _names(assigned):
        return loaded
    taken = lambda other: (suite_folder(other, storage) / SUITE_FILE).exists()  # noqa: E731
    return loaded.model_copy(update={"name": _free_name(loaded.name, taken)})


def chosen_run(
    config: str | Path | RunConfig | None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
) -> RunInfo:
    """Return the run that ``train`` makes.

    Without a name it is called by task, method and fingerprint: the same settings go on with the
    same run.

    Raises:
        ConfigError: Everything that is wrong with the configuration.
        UserError: The name is in use or unknown, or both a file and a run to resume are named.
    """
    if resume is not None:
        _refuse_both("run", resume, config, name or ("other settings" if overrides else None))
        return _run(_stored_run(resume), resume)
    if config is None:
        raise UserError("name a file of settings (--config), a --from-study, or a run to --resume")
    if isinstance(config, RunConfig):
        source = Source(config.model_dump(mode="python"))
    else:
        source = read_yaml(Path(config).expanduser())
    chosen = validate(with_overrides(source, overrides), RunConfig)
    if name is not None and (run_folder(name) / RECORD_FILE).exists():
        raise UserError(
            f"a run named {name} exists ({run_folder(name)}); go on with it by --resume {name}, "
            "or take another name"
        )
    return _run(chosen, name or f"{chosen.task}-{chosen.method}-{chosen.fingerprint()[:8]}")


def run_folder(name: str) -> Path:
    """Return where the single run of that name is, or would be.

    Raises:
        UserError: It is no name but a path.
    """
    if not _NAME.fullmatch(name):
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


def _run(config: RunConfig, name: str) -> RunInfo:
    return RunInfo(name, name, config, {}, run_folder(name))


def _stored_run(name: str) -> RunConfig:
    record = read_record(run_folder(name))
    if record is None:
        folder = home() / RUNS_FOLDER
        known = [path.parent.name for path in folder.glob(f"*/{RECORD_FILE}")]
        hint = did_you_mean(name, known) if known else "there are no runs yet"
        raise UserError(f"no run named {name} in {folder}; {hint}")
    return validate(Source(record.config), RunConfig)


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


def _free_name(name: str, taken: Callable[[str], bool]) -> str:
    candidate, number = name, 1
    while taken(candidate):
        number += 1
        candidate = f"{name}-{number}"
    return candidate
