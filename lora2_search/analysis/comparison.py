"""A suite's numbers: its arms one by one, and the comparisons named before the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ..config.suite import BASE
from ..stats import Crossed, Paired, holm, paired, rejects, seeds_for_sign_flip
from .arms import Arm, arm_of
from .contrasts import (
    Contrast,
    Scores,
    Weights,
    exploratory_contrasts,
    named_contrasts,
    of_seeds,
    on_new_sentences,
    pair,
    seed_contrasts,
)
from .equivalence import Equality, claims_corrected, equality_of
from .looks import Looks, crossed_at, looks_of, paired_at, seeds_for_sign_flip_at
from .records import SuiteRuns, read_tasks
from .scores import scores_on_test


@dataclass(frozen=True)
class Comparison:
    """A weighted sum of arms that is 0 when nothing differs: a pair, or a contrast.

    Attributes:
        name: ``arm − reference``, or the contrast's name.
        weights: Weight by arm, summing to 0.
        differences: The weighted sum by seed; of a pair, arm minus reference.
        paired: "Does it differ on this test set, over new seeds?"
        crossed: "Would it differ on new sentences too?"
        arm: The arm of a pair, ``""`` for a contrast.
        reference: What it is compared with, ``""`` for a contrast.
        paired_holm: p of ``paired`` after Holm's correction over the family.
        crossed_holm: p of ``crossed`` after Holm's correction over the family.
        sign_flip_holm: p of the sign-flip test after it, where that test has the seeds to reject.
        sign_flip_seeds: Fewest seeds with which the exact test could say "different".
        unlearnt: Its arms that do no better than the constant answer: then it carries no verdict.
    """

    name: str
    weights: Weights
    differences: Mapping[int, float]
    paired: Paired
    crossed: Crossed
    arm: str = ""
    reference: str = ""
    paired_holm: float | None = None
    crossed_holm: float | None = None
    sign_flip_holm: float | None = None
    sign_flip_seeds: int = 2
    unlearnt: tuple[str, ...] = ()

    @property
    def sign_flip(self) -> float | None:
        """The exact sign-flip test's p, where it has the seeds to reject."""
        return self.paired.sign_flip if self.paired.n >= self.sign_flip_seeds else None

    @property
    def differs(self) -> bool:
        """Whether the corrected paired test says that it differs, of arms that have learnt."""
        return rejects(self.paired_holm) and not self.unlearnt

    @property
    def sign_flip_disagrees(self) -> bool:
        """Whether the exact sign-flip test, corrected, says otherwise than the paired t test."""
        if self.sign_flip is None or self.paired.p is None:
            return False
        return rejects(self.sign_flip_holm) != rejects(self.paired_holm)


@dataclass(frozen=True)
class Analysis:
    """Everything that a report of a suite says about one task, as numbers.

    Attributes:
        suite: What was read.
        arms: The arms in their order.
        family: The comparisons and contrasts named before the run, corrected together.
        floor: Base minus head-only, tested before the family and outside it; ``None`` without one.
        equivalence: The claims of equality named before the run, corrected together.
        exploratory: Arms that nothing named compares, against the base: not corrected.
        tests: Comparisons in the whole family, those on other tasks among them.
        claims: Claims of equality that were corrected together, on all tasks.
        looks: Seeds at each look of a suite that runs until it is decided; empty otherwise.
        scores: The runs that count, by (arm, seed), with their test predictions.
    """

    suite: SuiteRuns
    arms: tuple[Arm, ...]
    family: tuple[Comparison, ...]
    floor: Comparison | None
    equivalence: tuple[Equality, ...] = ()
    exploratory: tuple[Comparison, ...] = ()
    tests: int = 0
    claims: int = 0
    looks: tuple[int, ...] = ()
    scores: Scores = field(default_factory=dict, compare=False, repr=False)

    @property
    def trained(self) -> bool | None:
        """Whether the base beats head-only by test; ``None`` where no test could be made."""
        if self.floor is None or self.floor.paired.p is None:
            return None
        return self.floor.differs and (self.floor.paired.estimate or 0.0) > 0

    @property
    def gives_verdicts(self) -> bool:
        """Whether verdicts are given: the base beats head-only, or the suite goes without that.

        Never where the base does no better than the constant answer.
        """
        return BASE not in self.unlearnt and (self.suite.floor is None or self.trained is True)

    @property
    def unlearnt(self) -> tuple[str, ...]:
        """The arms that do no better than the constant answer; the head alone may."""
        return _unlearnt(self.suite, self.arms)


def analyse(suite: SuiteRuns) -> Analysis:
    """Compute a suite's numbers on one task from its records and predictions."""
    return _corrected([_measured(suite)])[0]


def analyse_tasks(folder: Path) -> dict[str, Analysis]:
    """Compute a suite's numbers by task, Holm's correction spanning all tasks together.

    Raises:
        UserError: The folder holds no suite.
    """
    read = read_tasks(folder)
    corrected = _corrected([_measured(suite) for suite in read.values()])
    return dict(zip(read, corrected, strict=True))


def _measured(suite: SuiteRuns) -> Analysis:
    scores = scores_on_test(suite)
    looks = looks_of(suite)
    arms = tuple(arm_of(suite, name, scores) for name in suite.arms)
    unlearnt = _unlearnt(suite, arms)
    compare = partial(_compare, suite, scores, looks, unlearnt)
    return Analysis(
        suite,
        arms=arms,
        family=tuple(compare(item) for item in named_contrasts(suite)),
        floor=None if suite.floor is None else compare(pair(BASE, suite.floor)),
        equivalence=tuple(
            equality_of(suite, scores, looks, claim, unlearnt) for claim in suite.plan.equivalence
        ),
        exploratory=tuple(compare(item) for item in exploratory_contrasts(suite)),
        looks=() if looks is None else tuple(len(seeds) for seeds in looks.seeds),
        scores=scores,
    )


def _unlearnt(suite: SuiteRuns, arms: Sequence[Arm]) -> tuple[str, ...]:
    return tuple(arm.name for arm in arms if arm.unlearnt and arm.name != suite.floor)


def _compare(
    suite: SuiteRuns,
    scores: Scores,
    looks: Looks | None,
    unlearnt: Sequence[str],
    contrast: Contrast,
) -> Comparison:
    differences = seed_contrasts(scores, contrast.weights)

    def over_seeds(seeds: Sequence[int]) -> Paired:
        return paired(of_seeds(differences, seeds))

    over_both = partial(_new_sentences, suite, scores, contrast.weights)
    return Comparison(
        name=contrast.name,
        weights=contrast.weights,
        differences=differences,
        paired=over_seeds(suite.seeds) if looks is None else paired_at(looks, over_seeds),
        crossed=over_both(suite.seeds) if looks is None else crossed_at(looks, over_both),
        arm=contrast.arm,
        reference=contrast.reference,
        unlearnt=tuple(arm for arm in unlearnt if contrast.weights.get(arm)),
    )


def _new_sentences(
    suite: SuiteRuns, scores: Scores, weights: Weights, seeds: Sequence[int]
) -> Crossed:
    return on_new_sentences(scores, weights, seeds, suite.metric, suite.classes)


def _corrected(analyses: Sequence[Analysis]) -> list[Analysis]:
    family = [item for analysis in analyses for item in analysis.family]
    claims = [item for analysis in analyses for item in analysis.equivalence]
    suite, total = analyses[0].suite, len(family)
    tested = iter(_family_corrected(family, _sign_flip_seeds(suite, total)))
    claimed = iter(claims_corrected(claims))
    single = _sign_flip_seeds(suite, 1)
    return [
        replace(
            analysis,
            family=tuple(next(tested) for _ in analysis.family),
            floor=_family_corrected([analysis.floor], single)[0] if analysis.floor else None,
            equivalence=tuple(next(claimed) for _ in analysis.equivalence),
            tests=total,
            claims=len(claims),
        )
        for analysis in analyses
    ]


def _sign_flip_seeds(suite: SuiteRuns, tests: int) -> int:
    if looks_of(suite) is None:
        return seeds_for_sign_flip(tests)
    return seeds_for_sign_flip_at(suite.plan.sequential, tests)


def _family_corrected(family: Sequence[Comparison], sign_flip_seeds: int) -> list[Comparison]:
    family = [replace(item, sign_flip_seeds=sign_flip_seeds) for item in family]
    by_seeds = holm([item.paired.p for item in family])
    by_both = holm([item.crossed.p for item in family])
    by_signs = holm([item.sign_flip for item in family])
    return [
        replace(item, paired_holm=first, crossed_holm=second, sign_flip_holm=third)
        for item, first, second, third in zip(family, by_seeds, by_both, by_signs, strict=True)
    ]
