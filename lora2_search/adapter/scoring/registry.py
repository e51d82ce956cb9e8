"""From a scoring's name to the scoring: ours, or one that an installed package brings."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from ...config import SCORING_GROUP, scorings
from ...errors import did_you_mean
from .importance import ImportanceScoring
from .interface import Scoring, ScoringContext, ScoringError
from .magnitude import MagnitudeScoring
from .priority import RandomScoring
from .thinned import ThinnedScoring

ScoringFactory = Callable[[ScoringContext], Scoring]


def new_scoring(name: str, context: ScoringContext) -> Scoring:
    """Make a scoring by its name; a name of ours wins over an entry point's.

    Raises:
        ScoringError: nothing has that name, or what has it cannot be loaded or made.
    """
    if name in _OURS:
        return _OURS[name](context)
    entries = sorted(entry_points(group=SCORING_GROUP, name=name), key=lambda entry: entry.value)
    if not entries:
        raise ScoringError(f"No scoring is named {name!r}; {did_you_mean(name, scorings())}")
    return _brought(entries[0], context)


def _brought(entry: EntryPoint, context: ScoringContext) -> Scoring:
    try:
        factory: ScoringFactory = entry.load()
        scoring = factory(context)
    except Exception as error:
        raise ScoringError(
            f"Scoring {entry.name!r} (entry point {entry.value}) must load and accept "
            f"a ScoringContext, but raised {type(error).__name__}: {error}"
        ) from error
    missing = [part for part in _PARTS if not callable(getattr(scoring, part, None))]
    if missing:
        raise ScoringError(
            f"Scoring {entry.name!r} (entry point {entry.value}) must have the methods "
            f"{', '.join(_PARTS)}, but {', '.join(missing)} is missing."
        )
    return scoring


def _importance(inner: bool = False, outer: bool = False, doubt: bool = True) -> ScoringFactory:
    def make(context: ScoringContext) -> Scoring:
        config = context.config
        beta2 = config.beta2 if doubt else None
        return ImportanceScoring(context.matrices, config.beta1, beta2, inner=inner, outer=outer)

    return make


def _random(context: ScoringContext) -> Scoring:
    ranks = [len(matrix.values) for matrix in context.matrices]
    return RandomScoring(context.names, ranks, context.config.seed)


_PARTS = ("update", "scores", "state", "load_state")

_OURS: dict[str, ScoringFactory] = {
    "reduced": _importance(inner=True),
    "thinned": lambda context: ThinnedScoring(
        context.matrices, context.config.beta1, context.config.beta2
    ),
    "full": _importance(inner=True, outer=True),
    "values": _importance(),
    "sensitivity": _importance(inner=True, doubt=False),
    "magnitude": lambda context: MagnitudeScoring(context.matrices),
    "random": _random,
}
