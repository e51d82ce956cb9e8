"""Settings that a trial is given instead of proposed: ``try_first``, and those added by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator

from ...errors import did_you_mean, listed
from ..run import RunConfig
from ..settings import Settings, dotted, is_setting, known_settings
from .distribution import METHOD, Distribution, Value, active, is_searched
from .feasibility import problems_with
from .rules import Rule, obeyed


def _dotted_entries(value: Any) -> Any:
    # In a file that extends another one, null takes away what stands there.
    if value is None:
        return []
    if not isinstance(value, list):
        return value
    return [dotted(entry) if isinstance(entry, dict) else entry for entry in value]


TryFirst = Annotated[list[Settings], BeforeValidator(_dotted_entries)]


def first_problems(
    entries: Sequence[Mapping[str, Any]],
    base: RunConfig,
    search: Mapping[str, Distribution],
    rules: Sequence[Rule],
    trials: int | None,
) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for what is wrong with ``try_first``.

    Args:
        entries: As written, dotted.
        base: The fixed settings.
        search: The searched ones.
        rules: Between settings.
        trials: How many there are at most; ``None`` where hours alone bound the study.
    """
    if trials is not None and len(entries) > trials:
        yield "try_first", f"lists {len(entries)} trials, but the study has trials={trials}"
    for index, entry in enumerate(entries):
        key = f"try_first.{index}"
        if not entry:
            yield key, f"gives no setting; searched are {listed(search)}"
        elif entry in entries[:index]:
            yield key, f"is entry {entries.index(entry)} again; list each trial once"
        else:
            for name, message in given_problems(entry, base, search, rules):
                yield f"{key}.{name}" if name else key, message


def given_problems(
    given: Mapping[str, Any],
    base: RunConfig,
    search: Mapping[str, Distribution],
    rules: Sequence[Rule],
) -> Iterator[tuple[str, str]]:
    """Yield (setting, message) for settings that no trial can have.

    The setting is empty where several together are wrong. What is not given will be proposed, so
    only a trial that is given whole is tried as a run.

    Args:
        given: The settings of the trial, by dotted name.
        base: The fixed settings.
        search: The searched ones.
        rules: Between settings.
    """
    wrong = [
        (name, message)
        for name, value in given.items()
        if (message := _problem(name, value, given, search)) is not None
    ]
    yield from wrong
    if wrong:
        return
    try:
        params = active(search, given)
    except KeyError:
        return
    for rule in rules:
        if not obeyed([rule], base, params):
            yield "", f"breaks the rule {rule.text!r}"
    for problem in problems_with(base, params):
        yield (problem.key if problem.key in given else ""), problem.message


def exact_settings(
    given: Mapping[str, Any], search: Mapping[str, Distribution]
) -> dict[str, Value]:
    """Return given settings, found right, as a trial has them."""
    return {name: search[name].exact(value) for name, value in given.items()}


def _problem(
    name: str, value: Any, given: Mapping[str, Any], search: Mapping[str, Distribution]
) -> str | None:
    if name not in search and is_setting(name):
        return f"is not searched here, so no trial can set it; searched are {listed(search)}"
    if name not in search:
        return f"no setting of that name; {did_you_mean(name, {*search, *known_settings()})}"
    item = search[name]
    if (message := item.problem_with(value)) is not None:
        return message
    deciding = {other for other, _ in item.conditions()}
    deciding |= {METHOD} & search.keys() - {name}
    if deciding <= given.keys() and not is_searched(name, item, given):
        those = ", ".join(f"{other}={given[other]!r}" for other in sorted(deciding))
        return f"is not searched in a trial with {those}; leave it out"
    return None
