"""Suites drawn from a known truth, held in memory, for the real analysis to judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from lora2_search.analysis.comparison import Analysis, analyse
from lora2_search.analysis.records import Predictions, Run, SuiteRuns
from lora2_search.config.suite.schema import Suite
from tests.support.suites import record

EXAMPLES, SPREAD, RATE = 300, 0.02, 0.75
# Standard deviation of one arm's score over seeds: its own chance, and that of its answers.
SIGMA = float(np.sqrt(SPREAD**2 + (RATE * (1 - RATE) - SPREAD**2) / EXAMPLES))


@contextmanager
def analysis_of_simulated(
    plan: Suite, rates: Mapping[str, float], salt: int = 0, shared: float = 0.0
) -> Iterator[Iterator[Analysis]]:
    """Yield the analyses of as many suites as are asked for.

    An arm answers a sentence rightly at its rate, ± SPREAD with each seed; on a share ``shared``
    of sentences every seed of an arm answers alike, so that sentences are a source of chance.
    """
    generator = np.random.default_rng([salt, len(plan.arms), len(plan.seed_list)])
    labels = np.arange(EXAMPLES) % 2 * 1.0
    template = record(plan.run_config("base", plan.seed_list[0]))
    answers: dict[str, Predictions] = {}

    def analyses() -> Iterator[Analysis]:
        while True:
            runs = {}
            for arm in plan.arms:
                fixed = generator.random(EXAMPLES) < rates[arm]
                alike = generator.random(EXAMPLES) < shared
                for seed in plan.seed_list:
                    rate = rates[arm] + SPREAD * generator.standard_normal()
                    right = np.where(alike, fixed, generator.random(EXAMPLES) < rate)
                    name = f"{arm}-seed{seed}"
                    said = np.where(right, labels, 1 - labels)
                    answers[name] = Predictions(np.arange(EXAMPLES), labels, said)
                    scores = {"test/accuracy": float(right.mean())}
                    run = template.model_copy(update={"scores": scores})
                    runs[arm, seed] = Run(Path(name), run)
            yield analyse(_suite(plan, runs))

    read = "lora2_search.analysis.scores.read_predictions"
    with mock.patch(read, lambda run, split: answers[run.name]):
        yield analyses()


def _suite(plan: Suite, runs: Mapping[tuple[str, int], Run]) -> SuiteRuns:
    return SuiteRuns(Path(), plan, runs)
