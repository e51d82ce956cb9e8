"""The numbers behind a study's figures of its settings: slices, parallel lines, contour, shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .study import StudyTable, complete_trials, own_trials, quietly, score_of, searched, setting

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

Array = NDArray[np.float64]

FEWEST_FOR_IMPORTANCE = 4

_FEWEST_FOR_CONTOUR = 4

# fANOVA takes time with the square of the trials: of more, so many are taken, evenly spread, and
# fewer than Optuna's own 64 trees.
_MANY_TRIALS, _TREES, _FEWER_TREES = 500, 64, 16

# Cells of a contour along each axis: finer than what is seen, and 13 kB a figure.
_CELLS = 31


@dataclass(frozen=True)
class SettingAxis:
    """The range of one searched setting.

    Attributes:
        name: Dotted.
        low: Lower end; 0 of choices.
        high: Upper end; of choices the number of the last.
        log: Whether it is searched on a logarithmic scale.
        whole: Whether its values are whole numbers.
        choices: The values of a categorical as text, in order; empty for numbers.
    """

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()

    def coordinate(self, value: Any) -> float | None:
        """Return where a value stands: the number itself, or the number of a choice."""
        if self.choices:
            text = setting(value, exact=True)
            return float(self.choices.index(text)) if text in self.choices else None
        return float(value)

    def place(self, coordinate: float) -> float:
        """Return a coordinate as a share of the range, on its own scale: 0 is ``low``."""
        scale = math.log if self.log else float
        low, high = scale(self.low), scale(self.high)
        return (scale(coordinate) - low) / (high - low) if high > low else 0.5

    def at(self, place: float) -> float:
        """Return the coordinate of a share of the range."""
        if self.log:
            return math.exp(math.log(self.low) + place * (math.log(self.high) - math.log(self.low)))
        return self.low + place * (self.high - self.low)


def setting_axes(table: StudyTable) -> list[SettingAxis]:
    """Return the range of each setting that a trial has chosen, in the order of the space."""
    known: dict[str, Any] = {}
    for trial in table.trials:
        known |= {name: item for name, item in trial.distributions.items() if name not in known}
    order = [name for name in table.runs.space.search if name in known]
    order += [name for name in known if name not in order]
    return [_axis(name, known[name]) for name in order]


def _axis(name: str, item: Any) -> SettingAxis:
    choices = getattr(item, "choices", None)
    if choices is not None:
        texts = tuple(setting(choice, exact=True) for choice in choices)
        return SettingAxis(name, 0, len(choices) - 1, choices=texts)
    whole = isinstance(item.low, int)
    return SettingAxis(name, float(item.low), float(item.high), bool(item.log), whole)


@dataclass(frozen=True)
class SettingPoint:
    """A complete trial's value of one setting and its score.

    Attributes:
        number: The trial.
        coordinate: See ``SettingAxis.coordinate``.
        score: Its score on the validation split.
    """

    number: int
    coordinate: float
    score: float


def setting_slice(table: StudyTable, axis: SettingAxis) -> list[SettingPoint]:
    """Return the complete trials that chose a setting, by number."""
    return [
        SettingPoint(trial.number, place, score)
        for trial in table.trials
        if (score := score_of(trial)) is not None
        and axis.name in trial.params
        and (place := axis.coordinate(trial.params[axis.name])) is not None
    ]


@dataclass(frozen=True)
class ParallelLine:
    """One trial's settings.

    Attributes:
        number: The trial.
        state: ``COMPLETE`` or ``PRUNED``.
        places: Of each axis, as a share of its range; ``None`` where the trial has no such setting.
        score: ``None`` unless complete.
    """

    number: int
    state: str
    places: tuple[float | None, ...]
    score: float | None


def parallel_lines(table: StudyTable, axes: Sequence[SettingAxis]) -> list[ParallelLine]:
    """Return one line per complete or pruned trial, by number."""
    return [
        ParallelLine(trial.number, trial.state.name, _places(trial, axes), score_of(trial))
        for trial in table.trials
        if trial.state.name in ("COMPLETE", "PRUNED")
    ]


def _places(trial: FrozenTrial, axes: Sequence[SettingAxis]) -> tuple[float | None, ...]:
    found = [
        axis.coordinate(trial.params[axis.name]) if axis.name in trial.params else None
        for axis in axes
    ]
    return tuple(
        None if value is None else axis.place(value)
        for axis, value in zip(axes, found, strict=True)
    )


@dataclass(frozen=True)
class Importances:
    """How much of the variation of the score each setting explains.

    Attributes:
        shares: By setting, the largest first, summing to 1; empty where there are none.
        trials: Complete trials that they are made from, at most 500.
        varied: Settings that all of them chose and that differ.
        level: Whether all of them score the same.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    trials: int = 0
    varied: tuple[str, ...] = ()
    level: bool = False

    @property
    def missing(self) -> int:
        """How many complete trials are missing before shares can be computed."""
        return max(0, FEWEST_FOR_IMPORTANCE - self.trials)


def importances(study: Study) -> Importances:
    """Return fANOVA's importances (Hutter et al. 2014), or what they lack; fixed seed.

    Settings that not every complete trial chose are left out, as Optuna leaves them out.
    """
    import optuna

    trials = complete_trials(study)
    shared = [name for name in searched(study) if all(name in trial.params for trial in trials)]
    varied = tuple(name for name in shared if len({trial.params[name] for trial in trials}) > 1)
    level = len({score_of(trial) for trial in trials}) < 2
    found = Importances(trials=len(trials), varied=varied, level=level)
    if found.missing or len(varied) < 2 or level:
        return found
    many = len(trials) > _MANY_TRIALS
    trees = _FEWER_TREES if many else _TREES
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=trees, seed=0)
    if len(study.get_trials(deepcopy=False)) > len(own_trials(study)):
        study = _alone(study)
    with quietly():
        shares = optuna.importance.get_param_importances(
            _thinned(trials) if many else study,
            evaluator=evaluator,
            target=lambda trial: score_of(trial) or 0.0,
        )
    largest = sorted(shares.items(), key=lambda item: -item[1])
    ordered = {name: float(share) for name, share in largest}
    return Importances(ordered, min(len(trials), _MANY_TRIALS), varied, level)


def _thinned(trials: Sequence[FrozenTrial]) -> Study:
    """Return a study of so many of these trials as fANOVA can take, evenly spread."""
    import optuna

    thinned = optuna.create_study(direction="maximize")
    places = np.linspace(0, len(trials) - 1, _MANY_TRIALS).astype(int)
    for place in places:
        trial = trials[place]
        thinned.add_trial(
            optuna.trial.create_trial(
                value=score_of(trial), params=trial.params, distributions=trial.distributions
            )
        )
    return thinned


def _alone(study: Study) -> Study:
    """Return a copy of a study without the trials of its prior: Optuna would count them."""
    import optuna

    with quietly():
        copy = optuna.create_study(directions=study.directions)
        copy.add_trials(own_trials(study))
    return copy


@dataclass(frozen=True)
class Contour:
    """The score over two settings, interpolated between complete trials and never beyond them.

    Attributes:
        across: The setting from left to right.
        up: The setting from bottom to top.
        columns: Coordinates of ``across``, ``[X]``.
        rows: Coordinates of ``up``, ``[Y]``.
        scores: ``[Y, X]``, NaN outside the trials.
        trials: The trials behind it: number, coordinates and score.
    """

    across: SettingAxis
    up: SettingAxis
    columns: Array
    rows: Array
    scores: Array
    trials: tuple[tuple[int, float, float, float], ...]


def contour(table: StudyTable, across: SettingAxis, up: SettingAxis) -> Contour | None:
    """Return the score over two settings; ``None`` of too few trials, or of trials in a line.

    Between numbers it is linear over Delaunay triangles; between the choices of a categorical
    nothing is interpolated.
    """
    left, right = setting_slice(table, across), setting_slice(table, up)
    other = {point.number: point.coordinate for point in right}
    trials = tuple(
        (point.number, point.coordinate, other[point.number], point.score)
        for point in left
        if point.number in other
    )
    if len(trials) < _FEWEST_FOR_CONTOUR:
        return None
    columns, rows = _grid(across), _grid(up)
    x = np.array([across.place(item[1]) for item in trials])
    y = np.array([up.place(item[2]) for item in trials])
    z = np.array([item[3] for item in trials])
    at_x = np.array([across.place(value) for value in columns])
    at_y = np.array([up.place(value) for value in rows])
    if up.choices:
        scores = np.array([_along(at_x, x[_at(y, v)], z[_at(y, v)], across) for v in at_y])
    elif across.choices:
        scores = np.array([_along(at_y, y[_at(x, v)], z[_at(x, v)], up) for v in at_x]).T
    else:
        scores = _over_triangles(x, y, z, at_x, at_y)
    if not np.isfinite(scores).any():
        return None
    return Contour(across, up, columns, rows, scores, trials)


def top_contour(table: StudyTable, shares: Importances) -> Contour | None:
    """Return the score over the two most important settings, the first one across.

    Choices go up where the other setting is a number. ``None`` as of `contour`, or where
    importances are not known.
    """
    by_name = {axis.name: axis for axis in setting_axes(table)}
    if len(shares.shares) < 2:
        return None
    first, second = (by_name[name] for name in list(shares.shares)[:2])
    if first.choices and not second.choices:
        first, second = second, first
    return contour(table, first, second)


def _grid(axis: SettingAxis) -> Array:
    if axis.choices:
        return np.arange(len(axis.choices), dtype=float)
    return np.array([axis.at(place) for place in np.linspace(0, 1, _CELLS)])


def _at(places: Array, place: float) -> NDArray[np.bool_]:
    return np.isclose(places, place)


def _along(at: Array, places: Array, scores: Array, axis: SettingAxis) -> Array:
    """Interpolate along one axis, ``[len(at)]``; choices take the mean of their own trials."""
    found = np.full(len(at), np.nan)
    own = np.unique(places)
    if not len(own):
        return found
    means = np.array([scores[_at(places, place)].mean() for place in own])
    if axis.choices or len(own) == 1:
        for place, mean in zip(own, means, strict=True):
            found[np.abs(at - place).argmin()] = mean
        return found
    return np.interp(at, own, means, left=np.nan, right=np.nan)


def _over_triangles(x: Array, y: Array, z: Array, at_x: Array, at_y: Array) -> Array:
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import QhullError

    points = np.column_stack([x, y])
    places, inverse = np.unique(points, axis=0, return_inverse=True)
    inverse = inverse.ravel()
    means = np.bincount(inverse, weights=z) / np.bincount(inverse)
    try:
        surface = LinearNDInterpolator(places, means)
    except (QhullError, ValueError):  # all in one line, or fewer than three places
        return np.full((len(at_y), len(at_x)), np.nan)
    mesh_x, mesh_y = np.meshgrid(at_x, at_y)
    return np.asarray(surface(mesh_x, mesh_y), dtype=float)
