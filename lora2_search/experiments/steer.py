"""``tune --add`` and ``tune --stop-trial``: which of the studies that run is meant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import Argument, RequestError, UserError
from ..search import STUDIES, add_trial, stop_trial, stored_space, study_folder
from ..store import is_owned


def running_study(name: str | None = None, storage: Path | None = None) -> str:
    """Return the name of the study that is meant: the one that runs, where none is named.

    Raises:
        UserError: There is no study of that name; or none is named, and none runs, or several do.
    """
    if name is not None:
        STUDIES.stored(name, storage)
        return name
    shelf = study_folder("any", storage).parent
    found = sorted(path.parent.name for path in shelf.glob(f"*/{STUDIES.file}"))
    running = [study for study in found if is_owned(shelf / study)]
    if not running:
        raise UserError(f"no study is running in {shelf}, and only one that runs can be steered")
    if len(running) > 1:
        message = f"{len(running)} studies are running ({', '.join(running)}); say which one with "
        raise RequestError(message, Argument("name", running[0]))
    return running[0]


def add_to_study(
    settings: Mapping[str, Any], name: str | None = None, storage: Path | None = None
) -> tuple[str, int]:
    """Let a study that runs try settings next; return its name and the trial's number.

    Raises:
        ConfigError: No trial of the study can have these settings.
        UserError: No such study, nothing runs it, or all its trials have begun.
    """
    study = running_study(name, storage)
    folder = study_folder(study, storage)
    return study, add_trial(folder, stored_space(study, storage), settings)


def stop_in_study(number: int, name: str | None = None, storage: Path | None = None) -> str:
    """Let a trial stop at its next evaluation; return the name of its study.

    Raises:
        UserError: No such study, nothing runs it, or the trial is not running.
    """
    study = running_study(name, storage)
    stop_trial(study_folder(study, storage), number)
    return study
