"""What early stopping costs and saves, simulated: `python -m benchmarks.early_stopping`.

A study's trials come one after the other to one rung, half way through their runs, and are judged
by accuracy on the same validation sentences; those that go on are scored again at their end, and
the best of these scores wins. Drawn is each trial's true accuracy (normal, `spread`), the luck that
all trials share because they are scored on the same sentences, and each one's own luck.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lora2_search.execution.schedulers import promoted

MEAN, FACTOR = 0.75, 3
# Of two trials that are scored on the same sentences: how alike their mistakes are.
CORRELATION = 0.5
REPEATS = 2_000

# Score, its standard error, the scores that came before: does the trial go on?
Rule = Callable[[float, float, Sequence[float]], bool]


@dataclass(frozen=True)
class Outcome:
    """What a rule came to, over many studies.

    Attributes:
        stopped: Share of trials that were stopped.
        spent: Share of the evaluations that a study without early stopping makes.
        lost: Share of studies in which the trial that is truly the best was stopped.
        regret: Mean true accuracy lost against that best trial, by stopping and by choosing.
    """

    stopped: float
    spent: float
    lost: float
    regret: float


def percentile(score: float, error: float, others: Sequence[float]) -> bool:
    """Ray's rule: not below the percentile of those that came before, interpolated."""
    return not others or score >= np.percentile(others, 100 * (1 - 1 / FACTOR))


def within(errors: float) -> Rule:
    """Return our rule with so many standard errors for noise; the product takes one."""
    return lambda score, error, others: promoted(score, errors * error, others, FACTOR)


RULES: dict[str, Rule] = {
    "Ray's percentile": percentile,
    "rank alone": within(0),
    "rank, one standard error": within(1),
    "rank, two standard errors": within(2),
    "nobody is stopped": lambda score, error, others: True,
}


def simulate(
    rule: Rule, trials: int, sentences: int, spread: float, repeats: int = REPEATS
) -> Outcome:
    """Return what a rule comes to; the same seed for every rule, so they see the same studies."""
    generator = np.random.default_rng(0)
    error = math.sqrt(MEAN * (1 - MEAN) / sentences)
    stopped = lost = regret = 0.0
    for _ in range(repeats):
        true = generator.normal(MEAN, spread, trials)
        shared = math.sqrt(CORRELATION) * error * generator.standard_normal()
        own = math.sqrt(1 - CORRELATION) * error
        rung, end = true + shared + own * generator.standard_normal((2, trials))
        on = np.array([rule(rung[i], error, rung[:i].tolist()) for i in range(trials)])
        winner = int(np.where(on, end, -np.inf).argmax())
        stopped += 1 - on.mean()
        lost += not on[true.argmax()]
        regret += true.max() - true[winner]
    stopped, lost, regret = (value / repeats for value in (stopped, lost, regret))
    return Outcome(stopped, 1 - stopped / 2, lost, regret)


def main() -> None:
    """Print one table a case."""
    for trials, sentences in ((8, 500), (30, 500), (30, 5_000)):
        for spread in (0.01, 0.03, 0.06):
            print(f"\n{trials} trials, {sentences:,} sentences, true spread {100 * spread:.0f}")
            print("| rule | stopped | evaluations | best one stopped | regret, points |")
            print("| --- | ---: | ---: | ---: | ---: |")
            for name, rule in RULES.items():
                told = simulate(rule, trials, sentences, spread)
                print(
                    f"| {name} | {told.stopped:.0%} | {told.spent:.0%} | {told.lost:.0%} "
                    f"| {100 * told.regret:.2f} |"
                )


if __name__ == "__main__":
    main()
