"""What must fit together in a space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Problem, did_you_mean
from ..run import RunConfig, misplaced, mistyped
from ..schema import JUDGING_SETTINGS, SENTENCE_SETTINGS
from ..settings import is_setting, known_settings
from ..tasks import CUSTOM_METRICS, LOWER_IS_BETTER, OF_LOGITS, OF_TOKENS, TASKS
from ..yaml import Source
from .devices import batch_problems
from .distribution import METHOD, Distribution, Value
from .feasibility import corner_problems, problems_with
from .given import first_problems
from .grace import shortest_grace
from .halving import halving_problems
from .objectives import Bounds, Direction, constraint_problems, objective_problems
from .references import reference_problems
from .rules import parse_rule, rule_problems
from .samplers import Sampler, Search, sampler_problems
from .seeds import is_raced, seeds_problems, trial_seeds
from .winner import Confirm, winner_problems

if TYPE_CHECKING:
    from .schema import Resources, Scheduler, _Aims


def measured(config: RunConfig) -> tuple[str, ...]:
    """Return the metrics that a run measures, the primary one first.

    Those of classes and of numbers where a file of one's own does not say its ``kind``: it is
    known only when the file is read.
    """
    task, kind = TASKS.get(config.task), config.data.kind
    if config.is_language:
        return config.language_metrics
    if task is not None:
        return task.metrics
    if kind is not None:
        return CUSTOM_METRICS[kind]
    return (*CUSTOM_METRICS["classification"], *CUSTOM_METRICS["regression"])


def uncompared(metric: str | None, config: RunConfig) -> str | None:
    """Say that a suite cannot compare runs by ``metric``; ``None`` where it can.

    Args:
        metric: Its name, ``None`` for the primary one.
        config: A run.
    """
    known, indirect = measured(config), (*OF_LOGITS, *OF_TOKENS)
    name = metric or known[0]
    if name in indirect and name in known:
        others = [other for other in known if other not in indirect]
        verb = "is" if len(others) == 1 else "are"
        remedy = f"{', '.join(others)} {verb}" if others else f"set {_ANSWERS} above 0"
        return f"a suite compares answers, and {name} is not computed from them; {remedy}"
    return unmeasured(metric, config)


# 0: no answers are generated, and other metrics are measured.
_ANSWERS = "language.max_new_tokens"


def unmeasured(metric: str | None, config: RunConfig) -> str | None:
    """Say that a run does not measure ``metric``; ``None`` where it does, or none is named."""
    known = [name for name in measured(config) if name not in LOWER_IS_BETTER]
    if metric is None or metric in known:
        return None
    if metric in LOWER_IS_BETTER:
        return f"{metric} is measured, but lower is better: choose by {', '.join(known)}"
    return f"{metric!r} is not measured on task {config.task}; {did_you_mean(metric, known)}"


_OTHER_EXAMPLES = "trials would be scored on different examples or by a different metric"

_REFUSED = {
    **dict.fromkeys((*SENTENCE_SETTINGS, *JUDGING_SETTINGS), _OTHER_EXAMPLES),
    "data.validation_size": _OTHER_EXAMPLES,
    "protocol": _OTHER_EXAMPLES,
    "training.evaluations": "early stopping compares trials evaluation by evaluation",
    "model.trust_remote_code": "it permits code and does not affect results",
    "training.device": "it decides no result",
}

_FIXED = {name: why for name, why in _REFUSED.items() if why == _OTHER_EXAMPLES}


@dataclass(frozen=True)
class Parts:
    """The parts of a space that could be read; the others have been reported already.

    Attributes:
        names: Every searched setting, as written.
        search: The distributions that are right in themselves.
        base: The fixed settings, ``None`` if they cannot run.
        references: What each run outside the search sets, by name, dotted.
        metric: What is maximised; ``None`` for the task's own, or where the task is wrong.
        direction: As written beside it.
        aims: ``objectives`` and ``pick``; neither where one is wrong, or the task.
        constraints: On results.
        rules: Between settings.
        try_first: Settings of the first trials, dotted.
        scheduler: ``None`` if it is wrong.
        sampler: ``None`` if it is wrong.
        trials: How many at most; ``None`` where that is not given, or wrong.
        bounded: Whether ``trials`` or ``hours`` is given.
        winner: ``None`` if it is wrong, or not asked for.
        seeds: Runs of each trial; 1 if it is wrong.
        race: As written; ``None`` where it is left out, or wrong.
        resources: ``None`` if they are wrong.
    """

    names: list[str]
    search: Mapping[str, Distribution]
    base: RunConfig | None
    references: Mapping[str, Mapping[str, Any]]
    metric: str | None
    direction: Direction | None
    aims: _Aims
    constraints: Mapping[str, Bounds]
    rules: Sequence[str]
    try_first: Sequence[Mapping[str, Any]]
    scheduler: Scheduler | None
    sampler: Sampler | None
    trials: int | None
    bounded: bool
    winner: Confirm | None = None
    seeds: int = 1
    race: bool | None = None
    resources: Resources | None = None


def semantic_problems(parts: Parts, source: Source) -> list[Problem]:
    """Return what is wrong between the parts of a space, each with its place in ``source``."""
    if misplaced(source, "search") is not None:
        return []  # already reported, and all else follows from it
    mistakes = [*_budget(parts, source.data), *_names(parts.names)]
    known = {name: d for name, d in parts.search.items() if is_setting(name)}
    wrong = [*_conditions(known, parts.names)]
    if parts.base is not None:
        wrong += _objective(parts, known)
        wrong += _endpoints(parts.base, known)
        bad = {key for key, _ in wrong}
        sound = {name: d for name, d in known.items() if f"search.{name}" not in bad}
        sound = {name: d for name, d in sound.items() if set(d.when or {}) <= set(sound)}
        broken = list(rule_problems(parts.rules, parts.base, sound)) if parts.rules else []
        wrong += broken
        if not wrong and sound and len(sound) == len(parts.names):
            wrong += _sampler(parts, sound)
        if not broken:  # else they are what was to keep settings apart that clash
            rules = [parse_rule(text) for text in parts.rules]
            clashes = corner_problems(parts.base, sound, rules)
            wrong += [(f"search.{key}", why) for key, why in clashes]
            if len(sound) == len(parts.names):
                first = parts.try_first
                wrong += first_problems(first, parts.base, sound, rules, parts.trials)
        wrong += _grace(parts.base, sound, parts.scheduler)
        several, is_halved = max(1, len(parts.aims.objectives)), _is_halved(parts)
        wrong += seeds_problems(parts.seeds, parts.race, parts.base.seed, known, several, is_halved)
        if parts.scheduler is not None and is_halved:
            wrong += halving_problems(parts.scheduler, parts.base, known, several)
        wrong += reference_problems(parts.references, parts.base, _FIXED)
        if parts.resources is not None:
            devices = parts.resources.devices_per_trial
            wrong += batch_problems(devices, parts.base, sound, parts.references)
        if parts.winner is not None:
            base, tested = parts.base, parts.base.training.score_test
            wrong += winner_problems(
                parts.winner,
                trial_seeds(base.seed, parts.seeds),
                parts.trials,
                known,
                parts.references,
                tested,
            )
    mistakes += wrong
    return [Problem(key, message, _place(source, key)) for key, message in mistakes]


def _place(source: Source, key: str) -> str:
    head, _, setting = key.partition(".")
    if head in ("references", "try_first"):
        name, _, setting = setting.partition(".")
        nested = source.place((head, name, *setting.split(".")))
        return source.where.get((head, name, setting), nested)
    return source.place((head, setting) if head == "search" else tuple(key.split(".")))


Found = Iterator[tuple[str, str]]


def _budget(parts: Parts, data: Mapping[str, Any]) -> Found:
    if not parts.bounded and not any(mistyped(data, key) for key in ("trials", "hours")):
        yield "trials", "set `trials`, `hours` or both, or the study would never stop"
    if not parts.names and "search" in data:  # an absent one has been reported as such
        yield (
            "search",
            "nothing is searched; name at least one setting, for example "
            "adapter.k: {type: int, low: 1, high: 16} (to train one setting, use `train`)",
        )


def _objective(parts: Parts, search: Mapping[str, Distribution]) -> Found:
    assert parts.base is not None
    base, aims = parts.base, parts.aims
    metrics, methods = measured(base), _methods(base, search)
    if (problem := unmeasured(parts.metric, base)) is not None:
        yield "objective.metric", problem
    elif parts.direction == "minimize":
        yield (
            "objective.direction",
            "the score of a study is maximized; leave `direction` out (to keep a size or a time "
            "small beside it, name both in `objectives`)",
        )
    yield from objective_problems(aims.objectives, parts.metric, aims.pick, metrics, base, methods)
    yield from constraint_problems(parts.constraints, metrics, base, methods)


def _sampler(parts: Parts, search: Mapping[str, Distribution]) -> Found:
    assert parts.base is not None
    if parts.sampler is None:
        return
    task = Search(
        settings=search,
        base=parts.base,
        rules=parts.rules,
        objectives=max(1, len(parts.aims.objectives)),
        is_constrained=bool(parts.constraints),
        is_pruned=parts.scheduler is None or parts.scheduler.name == "asha" or _is_raced(parts),
        trials=parts.trials,
    )
    yield from sampler_problems(parts.sampler, task)


def _is_halved(parts: Parts) -> bool:
    return parts.scheduler is not None and parts.scheduler.name == "halving"


def _is_raced(parts: Parts) -> bool:
    sampler = parts.sampler.name if parts.sampler else ""
    return is_raced(parts.seeds, parts.race, max(1, len(parts.aims.objectives)), sampler)


def _methods(base: RunConfig, search: Mapping[str, Distribution]) -> list[str]:
    searched = search.get(METHOD)
    return [str(value) for value in searched.endpoints()] if searched else [base.method]


def _names(names: list[str]) -> Found:
    for name in names:
        if not is_setting(name):
            hint = did_you_mean(name, known_settings())
            yield f"search.{name}", f"no setting of that name; {hint}"
        elif name in _REFUSED:
            yield f"search.{name}", f"cannot be searched: {_REFUSED[name]}; give it one value"


def _conditions(search: Mapping[str, Distribution], names: list[str]) -> Found:
    for name, item in search.items():
        for other, values in item.conditions():
            key = f"search.{name}"
            if other not in names:
                yield (
                    key,
                    f"`when` refers to {other}, which is not searched; "
                    f"{did_you_mean(other, names)}",
                )
                continue
            parent = search.get(other)
            if parent is None:
                continue
            if parent.when is not None:
                yield (
                    key,
                    f"`when` refers to {other}, which has a `when` itself; one level is allowed",
                )
            never = [value for value in values if not _possible(parent, value)]
            if never:
                yield key, f"`when` waits for {other} to be {never[0]!r}, which it never is"


def _possible(item: Distribution, value: Value) -> bool:
    if item.type == "categorical":
        return value in (item.choices or [])
    low, high = item.endpoints()
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and low <= value <= high  # type: ignore[operator]


def _endpoints(base: RunConfig, search: Mapping[str, Distribution]) -> Found:
    for name, item in search.items():
        if name == _ANSWERS and _with_and_without_answers(base, item):
            yield f"search.{name}", f"with 0, {_OTHER_EXAMPLES}; search above 0"
        for value in item.endpoints():
            # Clashes with other settings are the corners' matter.
            own = [problem for problem in problems_with(base, {name: value}) if problem.key == name]
            if own:
                yield f"search.{name}", f"{name}={value!r} is not a valid value: {own[0].message}"
                break


def _with_and_without_answers(base: RunConfig, item: Distribution) -> bool:
    return base.is_language and len({bool(value) for value in item.endpoints()}) > 1


def _grace(
    base: RunConfig, search: Mapping[str, Distribution], scheduler: Scheduler | None
) -> Found:
    if scheduler is None or scheduler.name != "asha" or scheduler.grace is None:
        return
    needed, last = shortest_grace(base, search), base.training.evaluations
    if scheduler.grace > last:
        yield (
            "scheduler.grace",
            f"must be at most training.evaluations, but got grace={scheduler.grace}, "
            f"training.evaluations={last}",
        )
    elif scheduler.grace < needed:
        yield (
            "scheduler.grace",
            f"must be at least {needed} here, but got {scheduler.grace}: some trials prune until "
            f"evaluation {needed} of {last} (step T - t_final), and before it target ranks "
            "cannot be told apart; leave `grace` out, or raise adapter.t_final",
        )
