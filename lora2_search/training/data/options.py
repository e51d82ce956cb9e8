"""The options of a question: how a cell writes them, and which one is right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from ...errors import listed
from .reading.table import HALF, encodes, shown
from .wrong import Wrong

_LETTERED = re.compile(r"\s*([A-Z])[.)]\s+(.*\S)\s*")


def options_in(cell: str) -> list[tuple[str, str]]:
    """Return the options of a cell, each with its letter; a JSON list, or one per line."""
    try:
        # A number is a text like any other.
        found = json.loads(cell, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        found = [line for line in cell.splitlines() if line.strip()]
    if not isinstance(found, list) or not all(isinstance(o, str) and o.strip() for o in found):
        raise Wrong(f"the options must be a list of texts, or lines, but are {shown(cell)}")
    if not encodes("".join(found)):
        raise Wrong(f"the options hold {HALF}: {shown(cell)}")
    matches = [_LETTERED.fullmatch(option) for option in found]
    if all(matches):
        lettered = [(match[1], match[2]) for match in matches if match]
    else:
        lettered = [(chr(ord("A") + i), option.strip()) for i, option in enumerate(found)]
    if len({option for _, option in lettered}) < max(2, len(lettered)):
        raise Wrong(f"there must be two options at least, all different, but are {shown(cell)}")
    return lettered


def right_option(answer: str, lettered: list[tuple[str, str]]) -> float:
    """Return the number of the right option, named by its text, letter, both, or number from 0.

    Raises:
        Wrong: It names no option, or names one by its text and another by letter or number.
    """
    named = list(_namings(answer.strip(), lettered))
    if not named:
        known = listed(option for _, option in lettered)
        raise Wrong(f"the answer {shown(answer)} is not among the options: {known}")
    numbers = list(dict.fromkeys(number for _, number in named))
    if len(numbers) > 1:
        meant = ", but ".join(f"{shown(lettered[at][1])} by its {how}" for how, at in named)
        clear = " or ".join(shown(". ".join(lettered[at])) for at in numbers)
        raise Wrong(f"the answer {shown(answer)} is {meant}; write letter and text: {clear}")
    return float(numbers[0])


def _namings(answer: str, lettered: list[tuple[str, str]]) -> Iterator[tuple[str, int]]:
    """Yield each way in which an answer names an option, with the option's number."""
    letters, options = [letter for letter, _ in lettered], [option for _, option in lettered]
    if answer in options:
        yield "text", options.index(answer)
    match = _LETTERED.fullmatch(answer)
    if match and match[1] in letters and match[2] in options:
        yield "text", options.index(match[2])
    letter = match[1] if match and match[2] in options else answer
    if letter in letters:
        yield "letter", letters.index(letter)
    if answer.isdecimal() and int(answer) < len(options):
        yield "number from 0", int(answer)


def has_one_answer(cell: str, answer: str) -> bool:
    """Whether all options differ, none is a mere punctuation mark, and the answer is one."""
    try:
        lettered = options_in(cell)
        right_option(answer, lettered)
    except Wrong:
        return False
    return all(any(map(str.isalnum, option)) for _, option in lettered)
