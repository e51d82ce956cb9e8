"""A claim of equality that a suite names before its run, tested on its records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ..config import is_mean_over_examples
from ..config.suite import Equivalence as Claim
from ..stats import (
    Equivalence,
    Paired,
    crossed,
    holm,
    paired,
    pigeonhole_draws,
    rejects,
    too_few,
    tost,
    tost_crossed,
    tost_draws,
)
from .contrasts import (
    Scores,
    Weights,
    common_predictions,
    correctness_contrasts,
    of_seeds,
    pair,
    score_contrast,
    seed_contrasts,
)
from .looks import Looks, equivalence_at, paired_at
from .records import SuiteRuns


@dataclass(frozen=True)
class Equality:
    """A claim of equality that was named before the run, tested.

    Attributes:
        name: ``arm − reference``.
        claim: The claim and its margin.
        differences: Arm minus reference by seed.
        paired: The test of a difference of the same pair: its spread tells the power.
        on_this_set: Two one-sided tests over seeds.
        on_new_sentences: The same over seeds and sentences.
        stricter: The test over seeds against the claim's smaller margin; ``None`` where it names
            none.
        on_this_set_holm: p after Holm's correction over all claims of equality.
        on_new_sentences_holm: The same of the second test.
        unlearnt: Its arms that do no better than the constant answer: then it carries no verdict.
    """

    name: str
    claim: Claim
    differences: Mapping[int, float]
    paired: Paired
    on_this_set: Equivalence
    on_new_sentences: Equivalence
    stricter: Equivalence | None = None
    on_this_set_holm: float | None = None
    on_new_sentences_holm: float | None = None
    unlearnt: tuple[str, ...] = ()

    @property
    def shown(self) -> bool:
        """Whether the corrected test shows equality on this test set, of arms that have learnt."""
        return rejects(self.on_this_set_holm) and not self.unlearnt


def equality_of(
    suite: SuiteRuns,
    scores: Scores,
    looks: Looks | None,
    claim: Claim,
    unlearnt: Sequence[str] = (),
) -> Equality:
    """Return a claim of equality tested at the last of ``looks``, not corrected yet.

    ``unlearnt`` are the arms that do no better than the constant answer.
    """
    compared = pair(claim.arm, claim.reference)
    differences = seed_contrasts(scores, compared.weights)

    def over_seeds(margin: float, seeds: Sequence[int]) -> Equivalence:
        return tost(of_seeds(differences, seeds), margin)

    def difference(seeds: Sequence[int]) -> Paired:
        return paired(of_seeds(differences, seeds))

    over_both = partial(_same_sentences, suite, scores, compared.weights, claim.margin)
    test: Callable[[Callable[[Sequence[int]], Equivalence]], Equivalence]
    test = (lambda one: one(suite.seeds)) if looks is None else partial(equivalence_at, looks)
    return Equality(
        compared.name,
        claim,
        differences,
        difference(suite.seeds) if looks is None else paired_at(looks, difference),
        on_this_set=test(partial(over_seeds, claim.margin)),
        on_new_sentences=test(over_both),
        stricter=None if claim.stricter is None else test(partial(over_seeds, claim.stricter)),
        unlearnt=tuple(arm for arm in unlearnt if arm in (claim.arm, claim.reference)),
    )


def _same_sentences(
    suite: SuiteRuns, scores: Scores, weights: Weights, margin: float, seeds: Sequence[int]
) -> Equivalence:
    common = common_predictions(scores, weights, seeds)
    if isinstance(common, str):
        return Equivalence(margin=margin, note=common)
    if is_mean_over_examples(suite.metric):
        return tost_crossed(crossed(correctness_contrasts(common, weights)), margin)
    rows, columns = common.shape
    if note := too_few(rows, columns):
        return Equivalence(n=rows, margin=margin, note=note)
    contrast = score_contrast(common, weights, suite.metric, suite.classes)
    return tost_draws(pigeonhole_draws(contrast, rows, columns), rows, margin)


def claims_corrected(claims: Sequence[Equality]) -> list[Equality]:
    """Return claims of equality with Holm's correction over all of them."""
    by_seeds = holm([item.on_this_set.p for item in claims])
    by_both = holm([item.on_new_sentences.p for item in claims])
    return [
        replace(item, on_this_set_holm=first, on_new_sentences_holm=second)
        for item, first, second in zip(claims, by_seeds, by_both, strict=True)
    ]
