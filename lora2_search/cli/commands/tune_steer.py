"""``tune --add`` and ``tune --stop-trial``: another terminal steers a study that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...config import read_assignment
from ...errors import ConfigError, Problem, UserError
from ...experiments import add_to_study, stop_in_study
from ..console.rows import print_json
from ..console.say import narrator


def steer(
    added: Sequence[str],
    stopped: int | None,
    name: str | None,
    storage: Path | None,
    as_json: bool,
    others: Mapping[str, object],
) -> None:
    """Add a trial to a study that runs, or stop one of its trials, and say so.

    Args:
        added: ``key=value`` settings of the trial to add.
        stopped: The number of the trial to stop.
        name: The study; where none is named, the one that runs.
        storage: Where studies are; by default the home.
        as_json: Print JSON.
        others: Options that are for a study to start or resume, by how they are written.

    Raises:
        ConfigError: The settings are none that a trial of the study can have.
        UserError: No study runs, the trial does not, or options do not go together.
    """
    verb = "--add" if added else "--stop-trial"
    if added and stopped is not None:
        raise UserError("--add and --stop-trial are two requests; make one after the other")
    if clash := [option for option, value in others.items() if value]:
        raise UserError(
            f"{verb} steers a study that runs already, so {', '.join(clash)} has no place beside "
            "it; name the study with --name, if several run"
        )
    if stopped is not None:
        study = stop_in_study(stopped, name, storage)
        line = f"trial {stopped} of {study} stops at its next evaluation"
        result: dict[str, object] = {"study": study, "stopping": stopped}
    else:
        settings = _settings(added)
        try:
            study, number = add_to_study(settings, name, storage)
        except ConfigError as error:
            written = {text.partition("=")[0].strip(): text for text in added}
            raise ConfigError([_located(problem, written) for problem in error.problems]) from None
        line = f"trial {number} of {study} waits for a free place; it goes before any proposal"
        result = {"study": study, "added": number, "settings": settings}
    if as_json:
        print_json(result)
    else:
        narrator()(line)


def _settings(added: Sequence[str]) -> dict[str, Any]:
    """Return the settings that were written.

    Raises:
        ConfigError: One has no ``=``, no YAML after it, or stands twice.
    """
    settings: dict[str, Any] = {}
    for text in added:
        read = read_assignment(text, "--add ")
        if read.key in settings:
            raise ConfigError([Problem(read.key, "is given twice", read.place)])
        settings[read.key] = read.value
    return settings


def _located(problem: Problem, written: Mapping[str, str]) -> Problem:
    texts = [written[problem.key]] if problem.key in written else list(written.values())
    return replace(problem, where=" ".join(f"--add {text}" for text in texts))
