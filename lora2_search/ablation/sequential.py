"""A suite that gets seeds until every comparison of it is decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..config.suite import Suite, with_more_seeds
from ..errors import UserError
from .runner import SuiteResult

UNDECIDED = "undecided"


def with_first_seeds(suite: Suite) -> Suite:
    """Return ``suite`` marked to run until it is decided, with the seeds of its first look.

    Raises:
        UserError: It names nothing that could be decided.
    """
    if not (suite.pairs or suite.contrasts or suite.equivalence):
        raise UserError(
            f"the suite {suite.name} names no comparison, contrast or equivalence, so nothing can "
            "be decided; name some, or run it with a fixed number of seeds"
        )
    return _with_seeds(suite, suite.sequential.first).model_copy(update={"until_decided": True})


def run_until_decided(
    suite: Suite,
    run: Callable[[Suite], SuiteResult],
    decide: Callable[[SuiteResult], Mapping[str, str]],
) -> SuiteResult:
    """Run a suite, look, and go on with more seeds while a comparison is undecided.

    A look is taken when all runs of its seeds have ended; what it finds follows from the records
    alone, so a suite that was stopped anywhere goes on as if it had not been.

    Args:
        suite: With the seeds that it has so far, at least those of the first look.
        run: Runs a suite, those of its runs that are complete already excepted.
        decide: The rule: what is decided by the seeds there are, by the comparison's name;
            ``undecided`` where nothing is.

    Returns:
        The result with all seeds that were needed; of an interrupted run, what there is.
    """
    plan = suite.sequential
    while True:
        result = run(suite)
        seeds = len(suite.seed_list)
        if result.interrupted or UNDECIDED not in decide(result).values() or seeds >= plan.most:
            return result
        # What was run, not what was asked for: tuning may have settled its arms.
        suite = _with_seeds(result.suite, min(seeds + plan.every, plan.most))


def _with_seeds(suite: Suite, count: int) -> Suite:
    seeds = suite.seed_list
    if len(seeds) < count:
        return with_more_seeds(suite, count - len(seeds))
    return suite.model_copy(update={"seeds": seeds[:count]})
