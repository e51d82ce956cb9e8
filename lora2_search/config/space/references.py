"""The runs outside a search that its winner is compared with: the head alone, and those named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from ...errors import did_you_mean
from ...store import RECORD_FILE, REFERENCES_FOLDER, RunRecord, readable_record
from ..run import RunConfig, with_settings
from ..run_info import RunInfo
from ..settings import Settings, dotted, is_setting, known_settings
from .feasibility import problems_with

if TYPE_CHECKING:
    from .schema import Space

HEAD_ONLY = "head-only"

# Trials are keyed by numbers, so a name of digits could be a trial's.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,99}")


def _settings_by_name(value: Any) -> Any:
    # In a file that extends another one, null takes away what stands there.
    if value is None:
        return {}
    if not isinstance(value, dict):
        return value
    return {
        str(name): dotted(settings) if isinstance(settings, dict) else settings
        for name, settings in value.items()
    }


References = Annotated[dict[str, Settings], BeforeValidator(_settings_by_name)]


def reference_folder(folder: Path, name: str = HEAD_ONLY) -> Path:
    """Return where a study's run outside the search is, by default the head-only one."""
    return folder / REFERENCES_FOLDER / name


def reference_runs(space: Space, folder: Path) -> list[RunInfo]:
    """Return the runs outside a study's search, the head alone first: it is the shortest.

    None where the winner is confirmed: they run beside it then, on its seeds.
    """
    if space.winner is not None:
        return []
    return [_run(space, folder, name) for name in space.outside]


def reference_records(folder: Path) -> dict[str, RunRecord]:
    """Return the record of each run outside the search of a study that can be read, by name."""
    read = {path.name: readable_record(path) for path in started_references(folder)}
    return {name: record for name, record in read.items() if record is not None}


def started_references(folder: Path) -> list[Path]:
    """Return the folders of the runs outside the search of a study that have a record."""
    return sorted(path.parent for path in (folder / REFERENCES_FOLDER).glob(f"*/{RECORD_FILE}"))


def reference_problems(
    references: Mapping[str, Mapping[str, Any]], base: RunConfig, fixed: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for what is wrong with the references of a space.

    Args:
        references: What each one sets, by name, dotted.
        base: The space's own settings.
        fixed: Settings in which a reference must be as the trials are, and why.
    """
    for name, settings in references.items():
        key = f"references.{name}"
        if name == HEAD_ONLY:
            yield key, "is already trained beside every search; leave it out"
        elif not _NAME.fullmatch(name):
            yield (
                key,
                "must begin with a letter, followed by letters, digits, '.', '_' and '-', 100 at "
                "most (it names a folder)",
            )
        wrong = list(_setting_problems(key, settings, fixed))
        yield from wrong
        for problem in [] if wrong else problems_with(base, settings):
            own = problem.key in settings or not problem.key
            place = f"{key}.{problem.key}" if problem.key in settings else key
            yield place, problem.message if own else f"{problem.key}: {problem.message}"
        if not wrong and _is_judged_otherwise(base, settings):
            than = "0" if base.is_judged_by_tokens else "above 0"
            message = f"must be {than} as in the trials, or another metric is measured"
            yield f"{key}.{_ANSWERS}", message


_ANSWERS = "language.max_new_tokens"


def _is_judged_otherwise(base: RunConfig, settings: Mapping[str, Any]) -> bool:
    own = {key: value for key, value in settings.items() if key == _ANSWERS}
    if not base.is_language or problems_with(base, own):
        return False
    return with_settings(base, own).is_judged_by_tokens != base.is_judged_by_tokens


def _setting_problems(
    key: str, settings: Mapping[str, Any], fixed: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for setting in settings:
        if not is_setting(setting):
            hint = did_you_mean(setting, known_settings())
            yield f"{key}.{setting}", f"no setting of that name; {hint}"
        elif setting in fixed:
            yield f"{key}.{setting}", f"must be as in the trials: {fixed[setting]}"


def reference_settings(space: Space, name: str) -> Settings:
    """Return what one of `Space.outside` sets over the space."""
    return space.references.get(name, {"method": space.floor_method})


def reference_name(space: Space, name: str) -> str:
    """Return how people call one of `Space.outside`: ``head only``, ``no training`` or by name."""
    return space.floor_method.replace("-", " ") if name == HEAD_ONLY else name


def _run(space: Space, folder: Path, name: str) -> RunInfo:
    settings = reference_settings(space, name)
    return RunInfo(
        key=name,
        name=reference_name(space, name),
        config=with_settings(space.run_config(), dict(settings)),
        settings=settings,
        folder=reference_folder(folder, name),
        is_reference=True,
        metric=space.objective.metric,
    )
