"""What a language model of a study learns, and what its winner writes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...analysis import Run, generated_texts
from ..tables.examples import generated_table
from ..tables.table import Table


@dataclass(frozen=True)
class LanguageSection:
    """A training example and generated answers, as the template shows them.

    Attributes:
        example: The example in stretches, each with whether its tokens are learnt.
        generated: The first answers on the validation split.
    """

    example: list[tuple[str, bool]]
    generated: Table


def language_section(run: Run | None) -> LanguageSection | None:
    """Return the section of a run; ``None`` for none, and for one of no language model."""
    if run is None or not run.record.example:
        return None
    return LanguageSection(
        marked_parts(run.record.example), generated_table(generated_texts(run, "validation"))
    )


def marked_parts(example: str) -> list[tuple[str, bool]]:
    """Return a text in stretches, each with whether it stood in ``⟦ ⟧``."""
    parts = re.split(r"⟦(.*?)⟧", example, flags=re.DOTALL)
    return [(part, bool(index % 2)) for index, part in enumerate(parts) if part]
