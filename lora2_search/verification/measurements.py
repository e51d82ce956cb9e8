"""What the probes measured: a type for each probe, and the file that holds those of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class StartResult:
    """How far the logits of fresh adapters are from those of the pretrained model.

    Attributes:
        differences: The largest absolute difference by ``start, k=…, r=…``.
        differs: How far the logits of a changed λ are away: a comparison that cannot fail shows.
        sentences: How many were compared.
    """

    differences: Mapping[str, float]
    differs: float
    sentences: int


@dataclass(frozen=True)
class PlanesPoint:
    """How the planes lie at one step, means over matrices; ``None`` where undefined.

    Attributes:
        step: The optimiser step.
        overlap: cos² of neighbouring planes in weight space (uv, uUVv).
        with_increment: cos² of uv and ΔW; ``None`` while ΔW is 0.
        angle: The largest principal angle in degrees between col(uU) and the part of col(u)
            nearest to it, and the same for the rows, over all matrices.
        contrast: The same between col(u) of a matrix and of the next one as tall.
        errors: Mean ‖XᵀX − I‖_F by plane (``outer``, ``inner`` …).
    """

    step: int
    overlap: float | None
    with_increment: float | None
    angle: float
    contrast: float | None
    errors: Mapping[str, float]


@dataclass(frozen=True)
class SignFlips:
    """What flipping column i of the innermost U together with λᵢ changes.

    Attributes:
        increment: The largest change of any element of ΔW, relative to its largest element.
        mean: Mean change of the overlap.
        largest: Largest change of the overlap.
        flips: How many were made.
    """

    increment: float
    mean: float
    largest: float
    flips: int


@dataclass(frozen=True)
class PlanesResult:
    """The planes through a run, and what sign flips change at its end."""

    points: tuple[PlanesPoint, ...]
    flips: SignFlips


@dataclass(frozen=True)
class ScoreResult:
    """The test score after the last step.

    Attributes:
        metric: The primary metric.
        score: Its value.
        majority: What the commonest answer alone scores.
        kept_rank: Singular values that are left.
        right: By sentence, 1 where the answer was right; ``None`` where the metric is no accuracy.
    """

    metric: str
    score: float
    majority: float | None
    kept_rank: int
    right: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Pair:
    """How alike two scorings are.

    Attributes:
        tau: Kendall's τ over all singular values; ``None`` where undefined.
        kept: The share of the budget that both masks keep.
    """

    tau: float | None
    kept: float


@dataclass(frozen=True)
class Within:
    """Full against reduced scoring inside each matrix.

    Attributes:
        pairs: Pairs of singular values of the same matrix.
        swapped: How many of them stand in opposite order.
        kept: The share that both keep where each matrix has a budget of its own.
        offset_spread_within: The largest range of full − reduced inside a matrix.
        offset_sd_across: Standard deviation of the matrices' mean offsets.
        offset_median: Their median.
        reduced_sd: Standard deviation of the reduced score.
    """

    pairs: int
    swapped: int
    kept: float
    offset_spread_within: float
    offset_sd_across: float
    offset_median: float
    reduced_sd: float


@dataclass(frozen=True)
class AgreementPoint:
    """How alike the scorings are at one step.

    Attributes:
        step: The optimiser step.
        budget: How many singular values a mask keeps then.
        full: Each other scoring beside full scoring.
        reduced: Each other scoring beside reduced scoring.
        within: Full against reduced scoring inside each matrix.
    """

    step: int
    budget: int
    full: Mapping[str, Pair]
    reduced: Mapping[str, Pair]
    within: Within


@dataclass(frozen=True)
class AgreementResult:
    """How alike the scorings are through a run, and what each costs.

    Attributes:
        points: Some steps.
        microseconds: Mean time of an update by scoring.
        averaged: How many numbers each scoring takes in per step.
        step_microseconds: The rest of a training step; ``None`` where there were too few.
        scored_full: Parameters that full scoring reads.
        scored_reduced: Parameters that reduced scoring reads.
    """

    points: tuple[AgreementPoint, ...]
    microseconds: Mapping[str, float]
    averaged: Mapping[str, int]
    step_microseconds: float | None
    scored_full: int
    scored_reduced: int


@dataclass(frozen=True)
class TruthPoint:
    """ΔL of every λᵢ := 0 at one step, beside the scores.

    Attributes:
        step: The optimiser step.
        change: ΔL by singular value, the mean over all sentences.
        halves: The same over each half of the sentences.
        scores: The score of each singular value, by scoring.
        seconds: How long it took.
    """

    step: int
    change: tuple[float, ...]
    halves: tuple[tuple[float, ...], tuple[float, ...]]
    scores: Mapping[str, tuple[float, ...]]
    seconds: float


@dataclass(frozen=True)
class TruthResult:
    """ΔL of every λᵢ := 0 at some steps, and of how many sentences."""

    points: tuple[TruthPoint, ...]
    sentences: int


@dataclass(frozen=True)
class MergeResult:
    """How far merged logits are from unmerged ones, relative; and a safe merge of a NaN.

    Attributes:
        sentences: How many were compared.
        merged_own: After the merge, in the model's own precision.
        merged_float64: The same in float64.
        unmerged_own: After unmerging again.
        unmerged_float64: The same in float64.
        refused: Whether the safe merge refused the NaN.
        untouched: Whether it left the matrix as it was.
    """

    sentences: int
    merged_own: float
    merged_float64: float
    unmerged_own: float
    unmerged_float64: float
    refused: bool
    untouched: bool


@dataclass(frozen=True)
class CompressResult:
    """How far the plain LoRA's logits are from the adapter's, relative; and sizes.

    Attributes:
        trained: Parameters of the adapter.
        kept: Those left after pruning.
        compressed: Those of the plain LoRA, as counted.
        plain_lora: Those of the plain LoRA, as it holds them.
        compressed_own: Of the plain LoRA, in the model's own precision.
        compressed_float64: The same in float64.
        pruned_own: Of the adapter with zeroed ranks cut.
        pruned_float64: The same in float64.
    """

    trained: int
    kept: int
    compressed: int
    plain_lora: int
    compressed_own: float
    compressed_float64: float
    pruned_own: float
    pruned_float64: float


@dataclass(frozen=True)
class GrowthPoint:
    """‖ΔW‖_F over all matrices, scaled, at one step."""

    step: int
    increment: float


@dataclass(frozen=True)
class GrowthResult:
    """What moves first, how far ΔW grows, and whether masked values come back.

    Attributes:
        gradients: By step, the norm of the gradient of each factor over all matrices.
        points: ‖ΔW‖ at some steps.
        masked: How often a mask took a singular value.
        returned: How often a later mask let one live again.
    """

    gradients: Mapping[int, Mapping[str, float]]
    points: tuple[GrowthPoint, ...]
    masked: int
    returned: int


@dataclass(frozen=True)
class Measurements:
    """What was measured beside one run: the result of each probe, by the probe's name.

    Attributes:
        diverged: Why the run's loss is no longer finite; such a run has no results.
        majority: What a diverged run counts as: the score of the commonest answer.
    """

    start: StartResult | None = None
    planes: PlanesResult | None = None
    score: ScoreResult | None = None
    agreement: AgreementResult | None = None
    truth: TruthResult | None = None
    merge: MergeResult | None = None
    compress: CompressResult | None = None
    growth: GrowthResult | None = None
    diverged: str | None = None
    majority: float | None = None

    def of(self, kind: type[_Result]) -> _Result | None:
        """Return the result of that type, ``None`` where it was not measured."""
        return next((found for found in vars(self).values() if isinstance(found, kind)), None)

    def holds(self, probes: Iterable[str]) -> bool:
        """Return whether all these probes were measured, or the run diverged."""
        measured = (getattr(self, probe) is not None for probe in probes)
        return self.diverged is not None or all(measured)

    def updated(self, other: Measurements) -> Measurements:
        """Return them with what another one holds in place of its own."""
        return replace(self, **{k: v for k, v in vars(other).items() if v is not None})


_FILE = TypeAdapter(Measurements)

_ERROR = "error_"


def to_json(found: Measurements) -> Mapping[str, object]:
    """Return the values that a run's file holds."""
    values = {name: value for name, value in asdict(found).items() if value is not None}
    # Both stand flat in the file.
    if found.start is not None:
        values["start"] |= values["start"].pop("differences")
    if found.planes is not None:
        for point in values["planes"]["points"]:
            point |= {_ERROR + plane: error for plane, error in point.pop("errors").items()}
    if found.score is not None and found.score.right is None:
        del values["score"]["right"]
    return values


def from_json(values: Mapping[str, object]) -> Measurements:
    """Return what a run's file holds.

    Raises:
        ValueError: A value is missing or of another kind.
    """
    found = dict(values)
    if isinstance(start := found.get("start"), dict):
        differences = {k: v for k, v in start.items() if k not in ("differs", "sentences")}
        found["start"] = start | {"differences": differences}
    if isinstance(planes := found.get("planes"), dict):
        found["planes"] = planes | {"points": [_gathered(point) for point in planes["points"]]}
    try:
        return _FILE.validate_python(found)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _gathered(point: Mapping[str, object]) -> Mapping[str, object]:
    errors = {k.removeprefix(_ERROR): v for k, v in point.items() if k.startswith(_ERROR)}
    return {**point, "errors": errors}
