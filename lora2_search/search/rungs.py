"""The rule by which ASHA stops a trial: it is worse than the best by more than chance.

A rung is an evaluation at which trials are compared. Of the n trials that have reached it, the best
n / ``reduction_factor`` (rounded up) go on; the least score among them is the rung's bar. A trial
that comes to the rung is stopped when its score lies below the bar by more than one standard error
of its own evaluation (``training.noise``), unless it equals that of a trial that has gone on. So
ties go on, and so does whoever a few other validation sentences would have put there.

One standard error of one evaluation is also one of a *difference* where two trials get the same
sentences right and wrong with a correlation of a half: both are scored on the same sentences.

The bar is set by rank alone. A trial that goes on because of its noise, or because it came first,
does not lower it, or each would carry the next one below it and nobody would be stopped. What the
rule costs is thus what lies within one standard error below the bar, and never more than a study
that stops nobody; with many trials near the best, or few validation sentences, that is most of
them. ``python -m benchmarks.early_stopping`` prints what it costs and what it saves.
"""

from __future__ import annotations

import math
from collections.abc import Collection


def rungs(last: int, grace: int, reduction_factor: int) -> list[int]:
    """Return the evaluations at which trials are compared, the first one being ``grace``."""
    found = [grace]
    while found[-1] * reduction_factor <= last:
        found.append(found[-1] * reduction_factor)
    return found


def goes_on(
    score: float,
    standard_error: float,
    others: Collection[float],
    reduction_factor: int,
    went_on: Collection[float] = (),
) -> bool:
    """Return whether a trial goes on from a rung.

    Args:
        score: Its score there, higher is better.
        standard_error: Of that score over validation sentences; NaN where it is not known.
        others: The scores of the trials that came to the rung before it.
        reduction_factor: One in so many goes on.
        went_on: Those of ``others`` that went on.
    """
    every = sorted((*others, score), reverse=True)
    bar = every[math.ceil(len(every) / reduction_factor) - 1]
    noise = 0.0 if math.isnan(standard_error) else standard_error
    return score >= bar - noise or score in went_on
