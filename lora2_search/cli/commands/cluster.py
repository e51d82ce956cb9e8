"""``cluster slurm``: the script of a job that runs a study, or suites."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ...ablation import suite_folder
from ...config.space import space_source, validate_space
from ...config.suite import suite_source, validate_suite
from ...errors import RequestError, UserError
from ...execution import Slurm, Work, slurm_script
from ...search import study_folder
from ...store import SPACE_FILE, SUITE_FILE
from ...tracking import options, resolve_uri

# Minutes, or [days-]hours:minutes:seconds, of what Slurm takes.
_TIME = re.compile(r"\d+|(\d+-)?\d+(:\d\d){1,2}")


def print_slurm_script(
    *,
    space: str | None,
    suites: Sequence[str],
    overrides: tuple[str, ...],
    name: str | None,
    storage: Path | None,
    tracking_uri: str | None,
    nodes: int,
    cpus: int,
    gpus: int,
    time: str,
    more: tuple[str, ...],
) -> None:
    """Print the script, after everything in the files was checked but their data and model.

    Raises:
        ConfigError: Everything that is wrong with a space or suite, or what one run takes is more
            than a node has.
        UserError: Neither or both kinds are named, several nodes share no folder, or the time is
            none.
    """
    if (space is None) == (not suites):
        raise UserError("name what the job runs: one --space FILE, or one or more --suite FILE")
    if name is not None and len(suites) > 1:
        raise UserError("--name is for one study or suite; several suites keep their files' names")
    if nodes > 1 and storage is None:
        raise UserError(
            f"{nodes} nodes need a folder that all of them see: name it with --storage DIR"
        )
    if not _TIME.fullmatch(time):
        raise UserError(f"--time must be minutes, or [days-]hh:mm:ss, but got {time!r}")
    files = suites or [str(space)]
    works = [
        _work(
            "ablate" if suites else "tune", file, overrides, name, storage, tracking_uri, cpus, gpus
        )
        for file in files
    ]
    if len({work.name for work in works}) < len(works):
        raise UserError("two of the suites have the same name; give one of them another one")
    print(slurm_script(works, Slurm(nodes, time, cpus, gpus, more)), end="")


def _work(
    verb: str,
    file: str,
    overrides: tuple[str, ...],
    name: str | None,
    storage: Path | None,
    tracking_uri: str | None,
    cpus: int,
    gpus: int,
) -> Work:
    assigned = [*overrides, *([f"name={name}"] if name else [])]
    if verb == "tune":
        space = validate_space(space_source(file, assigned))
        called, resources = space.name, space.resources
        plan = study_folder(called, storage) / SPACE_FILE
    else:
        suite = validate_suite(suite_source(file, assigned))
        called, resources = suite.name, suite.resources
        plan = suite_folder(called, storage) / SUITE_FILE
    if resources.cpus > cpus or resources.gpus > gpus:
        raise RequestError(
            f"one run of {called} takes {resources.cpus:g} CPUs and {resources.gpus:g} GPUs, but "
            f"each node is to have {cpus} and {gpus}; give --cpus and --gpus, or change resources"
        )
    where = ["--storage", str(storage.absolute())] if storage else []
    where += options(resolve_uri(tracking_uri))
    shown = str(Path(file).absolute()) if Path(file).is_file() else file
    settings = [word for item in overrides for word in ("--set", item)]
    option = "--space" if verb == "tune" else "--suite"
    begin = [verb, option, shown, "--name", called, *settings, *where]
    return Work(called, begin, [verb, "--resume", called, *where], plan)
