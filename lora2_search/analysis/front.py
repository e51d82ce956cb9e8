"""Several objectives: which trials no other beats, which of them wins, and how the front grew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config.space import Objective, Space
from ..stats import hypervolume, non_dominated

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

# Beyond the worst value that was seen, so that a trial at the end of the front counts too.
_BEYOND = 0.1


@dataclass(frozen=True)
class Outcome:
    """What a complete trial came to.

    Attributes:
        number: Of the trial.
        values: Of the objectives, the score first.
        broken: By how much it is beyond each constraint that it breaks, by name and bound
            (``compressed_parameters max``); empty where it may win.
    """

    number: int
    values: tuple[float, ...]
    broken: dict[str, float]

    @property
    def is_feasible(self) -> bool:
        """Whether it meets every constraint."""
        return not self.broken


def excesses(space: Space, value: Callable[[str], float | None]) -> dict[str, float]:
    """Return by how much results are beyond each bound; 0 or less within, none for a ``None``.

    The names say which bound of which result: ``compressed_parameters max``.
    """
    found: dict[str, float] = {}
    for name, bounds in space.constraints.items():
        if (known := value(name)) is not None:
            found |= {f"{name} {end}": excess for end, excess in bounds.excess(known).items()}
    return found


def broken_bounds(found: Mapping[str, float]) -> dict[str, float]:
    """Return the excesses of the bounds that are broken."""
    return {name: excess for name, excess in found.items() if excess > 0}


def all_infeasible(outcomes: Sequence[Outcome], space: Space) -> str:
    """Say that no trial meets the constraints, and how near the nearest came to each."""
    missed = []
    for name, bounds in space.constraints.items():
        beyond = [
            max((v for key, v in item.broken.items() if key.split()[0] == name), default=0.0)
            for item in outcomes
        ]
        if min(beyond, default=0.0) > 0:
            missed.append(f"{name} must be {bounds} and misses that by {min(beyond):,.4g} or more")
    together = "each is met by some of them, but never all at once"
    return (
        f"none of the {len(outcomes)} complete trials meets the constraints: "
        f"{'; '.join(missed) or together}"
    )


def outcome_of(trial: FrozenTrial) -> Outcome | None:
    """Return what a trial came to, ``None`` for one that is not complete."""
    if trial.state.name != "COMPLETE":
        return None
    return Outcome(trial.number, tuple(trial.values), broken_bounds(trial.constraints))


def outcomes_of(trials: Iterable[FrozenTrial]) -> list[Outcome]:
    """Return what the complete trials came to, in their order."""
    return [outcome for trial in trials if (outcome := outcome_of(trial)) is not None]


def outcome_cells(
    outcome: Outcome | None, space: Space, on_front: bool
) -> dict[str, float | bool | None]:
    """Return what a row about a trial says of objectives and constraints, by column.

    Empty where the space has one objective and no constraint. ``None`` for a trial that is not
    complete.
    """
    cells: dict[str, float | bool | None] = {}
    if len(space.goals) > 1:
        for place, goal in enumerate(space.goals):
            cells[f"objective.{goal.metric}"] = outcome.values[place] if outcome else None
        cells["pareto"] = on_front if outcome else None
    if space.constraints:
        cells["feasible"] = outcome.is_feasible if outcome else None
    return cells


def pareto_front(outcomes: Sequence[Outcome], goals: Sequence[Objective]) -> list[Outcome]:
    """Return the feasible trials that no feasible one beats in every objective, best score first.

    Of trials that are equal in all objectives the earliest is kept. With one objective it is the
    best trial alone.

    Args:
        outcomes: Of the complete trials.
        goals: The objectives, the score first.
    """
    feasible = sorted((item for item in outcomes if item.is_feasible), key=lambda o: o.number)
    first_of = {item.values: item for item in reversed(feasible)}
    several = sorted(first_of.values(), key=lambda item: item.number)
    places = non_dominated([_costs(item.values, goals) for item in several])
    return sorted((several[place] for place in places), key=lambda item: _costs(item.values, goals))


def winning(outcomes: Sequence[Outcome], space: Space) -> int | None:
    """Return the number of the winner by the rule of the space, ``None`` where there is none.

    With one objective it is the best feasible trial, the earliest of equals. With several it is
    picked from the front: see ``Pick``.
    """
    goals = space.goals
    front = pareto_front(outcomes, goals)
    if not front:
        return None
    drop = space.pick.max_drop if space.pick else 0.0
    best = front[0].values[0]
    # A hair more, so that 0.80 is within 0.01 of 0.81.
    near = [item for item in front if best - item.values[0] <= drop + 1e-12 * max(1.0, abs(best))]
    costs = {item.number: _costs(item.values, goals) for item in near}
    chosen = min(near, key=lambda o: (*costs[o.number][1:], costs[o.number][0], o.number))
    return chosen.number


def rivals(outcomes: Sequence[Outcome], space: Space) -> dict[int, float]:
    """Return the scores of the trials that the winner won against by its score alone, its own too.

    By number. With several objectives those of the front differ by design, so only the winner's.
    """
    if len(space.goals) > 1:
        number = winning(outcomes, space)
        return {item.number: item.values[0] for item in outcomes if item.number == number}
    return {item.number: item.values[0] for item in outcomes if item.is_feasible}


def pick_rule(space: Space) -> str:
    """Return the rule by which the winner is picked from a front, as a part of a sentence."""
    first, second = (str(goal.metric) for goal in space.goals[:2])
    if space.pick is None or space.pick.max_drop == 0:
        return f"the best {first}, of equals the best {second}"
    return f"the best {second} within {space.pick.max_drop:g} of the best {first}"


def hypervolumes(outcomes: Sequence[Outcome], goals: Sequence[Objective]) -> dict[int, float]:
    """Return which share of the objectives' space the front covers after each complete trial.

    Every objective is scaled so that 0 is its best and 1 its worst value among all feasible trials
    of the study; the reference point is at 1.1 in each, and the volume is divided by that of the
    whole box. So curves of different studies cannot be compared.

    Args:
        outcomes: Of the complete trials.
        goals: The objectives, the score first.

    Returns:
        The share, 0 to 1, by trial number, in order; infeasible trials add nothing.
    """
    ordered = sorted(outcomes, key=lambda item: item.number)
    costs = {item.number: _costs(item.values, goals) for item in ordered if item.is_feasible}
    if not costs:
        return {item.number: 0.0 for item in ordered}
    lows = [min(column) for column in zip(*costs.values(), strict=True)]
    spans = [max(column) - min(column) or 1.0 for column in zip(*costs.values(), strict=True)]
    reference = [1 + _BEYOND] * len(goals)
    shares, front = {}, list[tuple[float, ...]]()
    for item in ordered:
        if item.number in costs:
            point = costs[item.number]
            scaled = tuple((c - low) / s for c, low, s in zip(point, lows, spans, strict=True))
            front = [*front, scaled]
            front = [front[place] for place in non_dominated(front)]
        shares[item.number] = hypervolume(front, reference) / (1 + _BEYOND) ** len(goals)
    return shares


def _costs(values: Sequence[float], goals: Sequence[Objective]) -> tuple[float, ...]:
    """Return the values so that lower is better in all."""
    return tuple(-v if goal.maximizes else v for v, goal in zip(values, goals, strict=True))
