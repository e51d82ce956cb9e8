"""Which single run a request means, and under which name it goes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from ..config import NAME_PATTERN, RunConfig, RunInfo, Source, read_yaml, validate, with_overrides
from ..errors import UserError, did_you_mean
from ..search import Study, trial_key
from ..store import CHECKPOINT_FOLDER, RECORD_FILE, Damaged, home, read_record
from .request import Chosen, located, refuse_both

RUNS_FOLDER = "runs"


def chosen_run(
    config: str | Path | RunConfig | None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    also: Sequence[str] = (),
) -> Chosen[RunInfo]:
    """Return the run that ``train`` makes.

    Without a name it is called by task, method and fingerprint: the same settings go on with the
    same run. ``also`` are options that going on with a run needs beside its name, for messages.

    Raises:
        ConfigError: Everything that is wrong with the configuration.
        UserError: The name is in use or unknown, or both a file and a run to resume are named.
    """
    if resume is not None:
        refuse_both("run", resume, config, name or ("other settings" if overrides else None))
        stored = _stored_run(resume)
        return Chosen(_run(validate(stored, RunConfig), resume), stored)
    if config is None:
        raise UserError("name a file of settings (--config), a --from-study, or a run to --resume")
    if isinstance(config, RunConfig):
        source = Source(config.model_dump(mode="python"))
    else:
        source = read_yaml(Path(config).expanduser())
    source = with_overrides(source, overrides)
    source.check_size()
    source = located(source)
    chosen = validate(source, RunConfig)
    if name is not None and (run_folder(name) / RECORD_FILE).exists():
        options = shlex.join(["--resume", name, *also])
        raise UserError(
            f"a run named {name} exists ({run_folder(name)}); go on with it by {options}, "
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


def _run(config: RunConfig, name: str) -> RunInfo:
    return RunInfo(name, name, config, {}, run_folder(name))


def _stored_run(name: str) -> Source:
    record = read_record(run_folder(name))
    if record is None and run_folder(name).is_dir():
        remedy = f"restore it from a copy, or delete {run_folder(name)}"
        raise Damaged(run_folder(name) / RECORD_FILE, "it is missing", remedy)
    if record is None:
        folder = home() / RUNS_FOLDER
        known = [path.parent.name for path in folder.glob(f"*/{RECORD_FILE}")]
        hint = did_you_mean(name, known) if known else "there are no runs yet"
        raise UserError(f"no run named {name} in {folder}; {hint}")
    return Source(record.config, name=str(run_folder(name) / RECORD_FILE))


def lost_checkpoint(run: RunInfo) -> str | None:
    """Say that a run which was measured before begins anew; ``None`` where it goes on."""
    from ..training import has_checkpoint

    record = read_record(run.folder)
    if record is None or record.status == "completed" or not record.history:
        return None
    if has_checkpoint(run.folder):
        return None
    return f"{run.folder / CHECKPOINT_FOLDER} holds no checkpoint: the run begins anew"
