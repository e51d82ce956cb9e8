"""The appendix that tells a reader what was searched: a study's space as a table."""

from __future__ import annotations

from ...analysis import setting
from ...config.space import Distribution, Space
from .latex import latex_table
from .table import Record, Table, text_column


def space_rows(space: Space) -> Table:
    """Return one row per searched setting: its range or choices, its scale, when it applies.

    Args:
        space: The study's space.
    """
    columns = (
        text_column("setting"),
        text_column("type"),
        text_column("values"),
        text_column("scale"),
        text_column("condition", "only where"),
    )
    return Table(columns, tuple(_row(name, item) for name, item in space.search.items()))


def search_space_table(space: Space, trials: int) -> str:
    """Return the space as a LaTeX table.

    Args:
        space: The study's space.
        trials: Trials that were begun.
    """
    objective = space.objective.metric or "the task's primary metric"
    caption = (
        f"Search space of study {space.name}: {trials} trials, sampler {space.sampler.name} with "
        f"seed {space.sampler.seed}, "
        f"chosen by {objective} on the validation split, protocol {space.protocol}."
    )
    return latex_table(space_rows(space), caption, f"tab:{space.name}-space")


def _row(name: str, item: Distribution) -> Record:
    if item.choices:
        values, scale = ", ".join(map(_exact, item.choices)), None
    else:
        values = f"{item.low} to {item.high}"
        scale = "logarithmic" if item.log else "linear"
    steps = f" in steps of {item.step}" if item.step else ""
    only = "; ".join(f"{key} is {' or '.join(map(_exact, of))}" for key, of in item.conditions())
    return {
        "setting": name,
        "type": item.type,
        "values": f"{values}{steps}",
        "scale": scale,
        "condition": only or None,
    }


def _exact(value: object) -> str:
    return setting(value, exact=True)
