"""Seeds that a suite gets after it has begun."""

from __future__ import annotations

from ..errors import UserError
from .suite import Suite


def with_more_seeds(suite: Suite, count: int) -> Suite:
    """Return ``suite`` with ``count`` more seeds: those after the largest that it has.

    Raises:
        UserError: ``count`` is less than 1.
    """
    if count < 1:
        raise UserError(f"the number of seeds to add must be 1 or more, but got {count}")
    seeds = suite.seed_list
    first = max(seeds) + 1
    return suite.model_copy(update={"seeds": [*seeds, *range(first, first + count)]})


def as_grown(suite: Suite, stored: Suite) -> Suite:
    """Return ``suite``, which goes on with ``stored``, with the seeds that are new noted as added.

    Those of a suite that runs until it is decided are no addition: its plan foresees them.

    Raises:
        UserError: Seeds were taken away.
    """
    before, after = stored.seed_list, suite.seed_list
    if after[: len(before)] != before:
        raise UserError(
            f"a resume may add seeds but must keep those of the suite {suite.name}, {before}, "
            f"but got {after}"
        )
    added = [] if suite.until_decided else after[len(before) :]
    return suite.model_copy(update={"added_seeds": [*stored.added_seeds, *added]})
