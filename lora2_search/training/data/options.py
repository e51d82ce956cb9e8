"""The options of a question: how a cell writes them, and which one is right."""

from __future__ import annotations

import json
import re

from ...errors import listed
from .reading.table import shown

_LETTERED = re.compile(r"\s*([A-Z])[.)]\s+(.*\S)\s*")


class Wrong(ValueError):
    """A row cannot be learnt from; the message says why and what would be right."""


def options_in(cell: str) -> list[tuple[str, str]]:
    """Return the options of a cell, each with its letter; a JSON list, or one per line."""
    try:
        found = json.loads(cell)
    except ValueError:
        found = [line for line in cell.splitlines() if line.strip()]
    if not isinstance(found, list) or not all(isinstance(o, str) and o.strip() for o in found):
        raise Wrong(f"the options must be a list of texts, or lines, but are {shown(cell)}")
    matches = [_LETTERED.fullmatch(option) for option in found]
    if all(matches):
        lettered = [(match[1], match[2]) for match in matches if match]
    else:
        lettered = [(chr(ord("A") + i), option.strip()) for i, option in enumerate(found)]
    if len({option for _, option in lettered}) < max(2, len(lettered)):
        raise Wrong(f"there must be two options at least, all different, but are {shown(cell)}")
    return lettered


def right_option(answer: str, lettered: list[tuple[str, str]]) -> float:
    """Return the number of the right option, named by its text, letter, both, or number from 0."""
    match = _LETTERED.fullmatch(answer)
    plain = (match[2] if match else answer).strip()
    for number, (letter, option) in enumerate(lettered):
        if plain in (option, letter):
            return float(number)
    if plain.isdecimal() and int(plain) < len(lettered):
        return float(int(plain))
    known = listed(option for _, option in lettered)
    raise Wrong(f"the answer {shown(answer)} is not among the options: {known}")


def has_one_answer(cell: str, answer: str) -> bool:
    """Whether all options differ and the answer is one of them."""
    try:
        right_option(answer, options_in(cell))
    except Wrong:
        return False
    return True
