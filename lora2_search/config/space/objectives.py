"""What a study optimises, which results it accepts, and how one winner is picked from a front."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import Field, model_validator

from ...errors import did_you_mean
from ...store import MEASURES
from ..run import RunConfig
from ..schema import Section
from ..tasks import LOWER_IS_BETTER, metric_bounds

Direction = Literal["maximize", "minimize"]

_PRUNING = ("lora2", "adalora")


class Objective(Section):
    """A metric of the validation split after the last evaluation, or a size or cost of the run."""

    metric: str | None = Field(None, description="`f1`, `accuracy` ...; default: the task's own")
    direction: Direction | None = Field(
        None, description="default: maximize a score, minimize a size, a time or a loss"
    )

    @property
    def maximizes(self) -> bool:
        """Whether more of it is better."""
        return self.direction != "minimize" and natural_direction(self.metric) == "maximize"


class Pick(Section):
    """Which trial of a front is the winner.

    Of the front's trials whose first objective is within ``max_drop`` of the best one, that with
    the best second objective; of equals the best by the third one and so on, then by the first,
    then the earliest.
    """

    max_drop: float = Field(0.0, ge=0, description="of the first objective, in its own unit")


class Bounds(Section):
    """What a result must be for its trial to win."""

    min: int | float | None = Field(None, description="least value that is accepted")
    max: int | float | None = Field(None, description="greatest value that is accepted")

    @model_validator(mode="after")
    def _check(self) -> Bounds:
        if self.min is None and self.max is None:
            raise ValueError("give `min`, `max` or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` must be at most `max`, but got min={self.min}, max={self.max}")
        return self

    def excess(self, value: float) -> dict[str, float]:
        """Return by how much ``value`` is beyond each bound; 0 or less where it is within."""
        beyond = {}
        if self.min is not None:
            beyond["min"] = float(self.min - value)
        if self.max is not None:
            beyond["max"] = float(value - self.max)
        return beyond

    def __str__(self) -> str:
        parts = [f"at least {self.min:,}"] if self.min is not None else []
        parts += [f"at most {self.max:,}"] if self.max is not None else []
        return " and ".join(parts)


def natural_direction(name: str | None) -> Direction:
    """Return which way a metric or a measure is better; ``None`` is the task's own metric."""
    return "minimize" if name in MEASURES or name in LOWER_IS_BETTER else "maximize"


def objective_problems(
    objectives: Sequence[Objective],
    first: str | None,
    pick: Pick | None,
    metrics: Sequence[str],
    base: RunConfig,
    methods: Sequence[str],
) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for what is wrong with several objectives.

    Args:
        objectives: As written; empty where there is only ``objective``.
        first: ``objective.metric`` as written.
        pick: As written.
        metrics: What the task measures.
        base: The fixed settings.
        methods: Those of the trials.
    """
    if pick is not None and len(objectives) < 2:
        yield "pick", "picks from the front of several `objectives`; here there is one, or none"
    scores = [name for name in metrics if name not in LOWER_IS_BETTER]
    names = [item.metric for item in objectives]
    for index, item in enumerate(objectives):
        key, name = f"objectives.{index}", item.metric
        if name is None:
            yield f"{key}.metric", f"is missing; known: {_listed([*metrics, *MEASURES])}"
        elif (problem := unknown_outcome(name, metrics, base, methods)) is not None:
            yield f"{key}.metric", problem
        elif name in names[:index]:
            yield f"{key}.metric", f"{name} is an objective already; name each once"
        elif index == 0 and name not in scores:
            yield (
                f"{key}.metric",
                f"the first objective decides early stopping, so it must be a score that is "
                f"measured at every evaluation ({_listed(scores)}), but got {name}; put it second",
            )
        elif item.direction not in (None, natural_direction(name)):
            better = "higher" if natural_direction(name) == "maximize" else "lower"
            yield (
                f"{key}.direction",
                f"of {name}, {better} is better: {natural_direction(name)} it, or leave "
                "`direction` out",
            )
    if objectives and first is not None and first != names[0]:
        yield (
            "objectives",
            f"begin with {names[0]}, but objective.metric is {first}; leave `objective` out, or "
            "name the same metric first",
        )


def constraint_problems(
    constraints: Mapping[str, Bounds],
    metrics: Sequence[str],
    base: RunConfig,
    methods: Sequence[str],
) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for constraints on results that nothing measures or nobody can meet."""
    for name, bounds in constraints.items():
        key = f"constraints.{name}"
        if (problem := unknown_outcome(name, metrics, base, methods)) is not None:
            yield key, problem
            continue
        low, high = _range(name)
        if bounds.max is not None and bounds.max < low:
            yield f"{key}.max", f"no run can meet it: {name} is at least {low:g}, got {bounds.max}"
        if bounds.min is not None and high is not None and bounds.min > high:
            yield f"{key}.min", f"no run can meet it: {name} is at most {high:g}, got {bounds.min}"


def unknown_outcome(
    name: str, metrics: Sequence[str], base: RunConfig, methods: Sequence[str]
) -> str | None:
    """Say that no run, or not every run, has a result of that name; ``None`` where all have."""
    if name not in metrics and name not in MEASURES:
        hint = did_you_mean(name, [*metrics, *MEASURES])
        return f"no run on task {base.task} measures {name!r}; {hint}"
    # Of method peft only its own configuration tells whether it prunes.
    without = [method for method in methods if method not in (*_PRUNING, "peft")]
    if name == "kept_rank" and without:
        return f"a run of method {without[0]} has no kept_rank; only {_listed(_PRUNING)} prune"
    if name == "forgetting" and base.language.forgetting is None:
        return "forgetting is measured on a text file; name it in language.forgetting"
    return None


def _range(name: str) -> tuple[float, float | None]:
    """Return the least and the greatest value that a result can have."""
    if name == "forgetting":
        return -math.inf, None
    if name in MEASURES:
        return 0.0, None
    least, most = metric_bounds(name)
    return least, most if math.isfinite(most) else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
