"""Steer a study that runs, from another process: through the storage that both have open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..analysis import givers, own_trials
from ..config.space import Space, exact_settings, given_problems
from ..errors import Argument, ConfigError, Problem, RequestError, UserError, listed
from ..store import is_leased, is_owned, open_database, reading_database, study_file
from .given import GIVEN, enqueue

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study as OptunaStudy

# An attribute of a trial that is to stop at its next evaluation: who asked for it.
STOP = "stop"

_BY_HAND = "by hand"


def add_trial(folder: Path, space: Space, settings: Mapping[str, Any]) -> int:
    """Let a study that runs try settings next.

    Args:
        folder: The study's.
        space: The study's.
        settings: By dotted name; what they leave out is proposed.

    Returns:
        The trial's number. It counts among the study's ``trials``.

    Raises:
        ConfigError: No trial of the study can have these settings.
        UserError: Nothing runs the study, or all its trials have begun.
    """
    from .samplers import trials_left

    if not settings:
        raise UserError(f"give at least one setting; searched are {listed(space.search)}")
    wrong = given_problems(settings, space.as_run_config(), space.search, space.parsed_rules)
    if problems := [Problem(name, message) for name, message in wrong]:
        raise ConfigError(problems)
    with _running(folder) as (study, _):
        trials = own_trials(study)
        if not trials_left(space, len(trials), len(givers(trials))):
            raise RequestError(
                f"all {len(trials)} trials of {folder.name} have begun or wait already; when it "
                "has ended, resume it with more: ",
                Argument("resume", folder.name),
            )
        enqueue(study, space, settings, _BY_HAND)
        exact = exact_settings(settings, space.search)
        return max(t.number for t in own_trials(study) if t.user_attrs.get(GIVEN) == exact)


def stop_trial(folder: Path, number: int) -> None:
    """Let a trial of a study that runs stop at its next evaluation; it counts as pruned.

    Raises:
        UserError: Nothing runs the study, or the trial is not running.
    """
    with _running(folder) as (study, storage):
        states = {trial.number: trial.state.name for trial in own_trials(study)}
        running = [str(other) for other, state in states.items() if state == "RUNNING"]
        now = f"running are {listed(running)}" if running else "no trial is running right now"
        if number not in states:
            raise UserError(f"{folder.name} has no trial {number}; {now}")
        if states[number] != "RUNNING":
            state = {"WAITING": "waits for its turn"}.get(states[number], "has ended")
            raise UserError(f"trial {number} of {folder.name} is not running: it {state}; {now}")
        place = storage.get_study_id_from_name(study.study_name)
        trial = storage.get_trial_id_from_study_id_trial_number(place, number)
        storage.set_trial_user_attr(trial, STOP, _BY_HAND)


@contextmanager
def _running(folder: Path) -> Iterator[tuple[OptunaStudy, BaseStorage]]:
    """Open the storage of a study that another process runs.

    Raises:
        UserError: None does.
    """
    import optuna

    if not is_owned(folder):
        raise RequestError(
            f"nothing runs study {folder.name}, and only a study that runs can be steered; ",
            Argument("resume", folder.name),
            " takes it up",
        )
    if is_leased(folder):
        raise UserError(
            f"study {folder.name} is run on another machine, from a bucket: steer it there"
        )
    path = study_file(folder)
    starting = UserError(f"study {folder.name} is only starting; try again in a moment")
    if not path.exists():
        raise starting
    with reading_database(path), open_database(path) as storage:
        try:
            study = optuna.load_study(study_name=folder.name, storage=storage)
        except KeyError:
            raise starting from None
        yield study, storage
