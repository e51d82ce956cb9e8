"""A study that is halved: who came to which rung, and whether the rungs rank as whole runs do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from ..config.space import Space, rung_key, shares, survivors
from ..stats import kendall
from ..store import outcome_value
from .front import Outcome, broken_bounds, excesses, winning

if TYPE_CHECKING:
    from .records import Run

# Of fewer trials with both scores a rank correlation says nothing.
FEWEST_PAIRS = 4

# A rung below it does not rank: two thirds of all pairs, or fewer, are in the same order.
LEAST_TAU = 1 / 3

_VALIDATION = "validation"


@dataclass(frozen=True)
class Rung:
    """What the runs of one rung came to.

    Attributes:
        number: From 1; the last one has whole runs.
        share: Of a whole run.
        scores: On the validation split, of its complete runs, by trial.
        runs: Those runs; none in the first rung, whose runs are the trials themselves.
        failed: Why others failed, by trial.
        open: Trials whose run has not ended.
        went_on: Trials that begin anew at the next rung; none of the last one.
        tau: Kendall's rank correlation of its scores with the final ones; ``None`` where there is
            none, and of the last rung.
        pairs: Trials that have both scores.
    """

    number: int
    share: Fraction
    scores: Mapping[int, float]
    runs: Mapping[int, Run] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    open: tuple[int, ...] = ()
    went_on: tuple[int, ...] = ()
    tau: float | None = None
    pairs: int = 0

    @property
    def misranks(self) -> bool:
        """Whether enough trials have both scores to say that it does not rank them."""
        return self.pairs >= FEWEST_PAIRS and (self.tau is None or self.tau < LEAST_TAU)


@dataclass(frozen=True)
class Climb:
    """The rungs of a study, from the shortest to whole runs.

    Attributes:
        rungs: Those that are reached; a rung is chosen when the one before it is over.
        total: How many there are to be.
        trial: The number of the winner; ``None`` while, or because, there is none.
    """

    rungs: tuple[Rung, ...]
    total: int
    trial: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether no run is left to be made."""
        return len(self.rungs) == self.total and not self.rungs[-1].open

    @property
    def finals(self) -> Mapping[int, Run]:
        """The whole runs that are complete, by trial."""
        return self.rungs[-1].runs if len(self.rungs) == self.total else {}


def climb(
    space: Space,
    outcomes: Sequence[Outcome],
    runs: Mapping[str, Run],
    *,
    is_over: bool = False,
) -> Climb | None:
    """Return how the trials of a study climbed; ``None`` where its scheduler has no such rungs.

    Args:
        space: The study's.
        outcomes: What its trials came to, which are the runs of the first rung.
        runs: Those of later rungs, by key.
        is_over: Whether the search is; while nobody says so, and no later run has begun, nobody is
            chosen.
    """
    if space.scheduler.name != "halving":
        return None
    parts, factor = shares(space.scheduler), space.scheduler.factor
    scores = {item.number: item.values[0] for item in outcomes if item.is_feasible}
    rungs = [Rung(1, parts[0], scores)]
    if scores and not runs and not is_over:
        return Climb(tuple(rungs), len(parts))
    for number, share in enumerate(parts[1:], start=2):
        chosen = best_of(rungs[-1].scores, survivors(len(rungs[-1].scores), factor))
        rungs[-1] = replace(rungs[-1], went_on=chosen)
        rungs.append(_rung(number, share, chosen, runs, space.objective.metric))
        if rungs[-1].open:
            break
    found = Climb(tuple(rungs), len(parts))
    if not found.is_complete:
        return found
    final = rungs[-1].scores
    rungs = [*(_compared(rung, final) for rung in rungs[:-1]), rungs[-1]]
    return Climb(tuple(rungs), len(parts), winning(final_outcomes(found, space), space))


def best_of(scores: Mapping[int, float], count: int) -> tuple[int, ...]:
    """Return the trials with the best scores, the earliest of equals first."""
    ranked = sorted(scores, key=lambda trial: (-scores[trial], trial))
    return tuple(ranked[:count])


def final_outcomes(found: Climb, space: Space) -> list[Outcome]:
    """Return what the whole runs came to: score and constraints."""
    scores = found.rungs[-1].scores if found.finals else {}
    return [
        Outcome(trial, (scores[trial],), _broken(space, run)) for trial, run in found.finals.items()
    ]


def electable(outcomes: Sequence[Outcome], found: Climb | None, space: Space) -> list[Outcome]:
    """Return what a study's winner is chosen from.

    Its complete trials, or, where it is halved (``found``), its whole runs; none while some of
    those have not ended.
    """
    if found is None:
        return list(outcomes)
    return final_outcomes(found, space) if found.is_complete else []


def _broken(space: Space, run: Run) -> dict[str, float]:
    return broken_bounds(excesses(space, lambda name: outcome_value(name, run.record, run.folder)))


def _rung(
    number: int,
    share: Fraction,
    chosen: Sequence[int],
    runs: Mapping[str, Run],
    metric: str | None,
) -> Rung:
    scores: dict[int, float] = {}
    failed: dict[int, str] = {}
    there: dict[int, Run] = {}
    for trial in chosen:
        run = runs.get(rung_key(trial, number))
        status = run.record.status if run else "running"
        score = run.record.score(_VALIDATION, metric) if run and status == "completed" else None
        if run is not None and score is not None:
            scores[trial], there[trial] = score, run
        elif run is not None and status != "running":
            failed[trial] = run.record.error or "it has no score"
    left = tuple(trial for trial in chosen if trial not in scores and trial not in failed)
    return Rung(number, share, scores, there, failed, left)


def _compared(rung: Rung, final: Mapping[int, float]) -> Rung:
    both = [trial for trial in final if trial in rung.scores]
    tau = kendall([rung.scores[trial] for trial in both], [final[trial] for trial in both])
    return replace(rung, tau=tau, pairs=len(both))


def rung_cells(found: Climb | None, trial: int) -> dict[str, float | bool | None]:
    """Return what a row about a trial says of its rungs, by column; nothing where there are none.

    ``rung.1`` and so on are its scores; ``winner`` says whether it is the best whole run.
    """
    if found is None:
        return {}
    cells: dict[str, float | bool | None] = dict.fromkeys(
        f"rung.{number}" for number in range(1, found.total + 1)
    )
    cells |= {f"rung.{rung.number}": rung.scores.get(trial) for rung in found.rungs}
    return cells | {"winner": found.trial == trial}
