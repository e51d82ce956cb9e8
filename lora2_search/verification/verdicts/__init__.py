"""From measurements to rows of the table: one module a check."""

from collections.abc import Callable

from ..page.rows import Row
from ..results import Results
from . import compress, learning, merge, planes, pruning, ranking, scoring, start, truth

_ROWS: dict[str, Callable[[Results], list[Row]]] = {
    "start": start.rows,
    "learning": learning.rows,
    "planes": planes.rows,
    "pruning": pruning.rows,
    "scoring": scoring.rows,
    "truth": truth.rows,
    "ranking": ranking.rows,
    "merge": merge.rows,
    "compress": compress.rows,
}


def rows(results: Results) -> list[Row]:
    """Return the rows of all checks of a plan whose parts are all there."""
    return [row for check in results.plan.checks for row in _ROWS[check](results)]
