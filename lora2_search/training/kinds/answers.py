"""Whether a generated text gives the answer: numbers by value, words by what they say."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

import regex

from ...errors import ConfigError, Problem
from ..data.reading.table import shown

_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d+)?")

_RATIO = re.compile(r"([+-]?\d+)\s*/\s*(\d+)")

_MOST_DIGITS = 40

# What may stand around a number or a word without changing it.
_AROUND = " \t\r\n.,;:!?\"'()[]*`"


# Seconds that looking for an answer in one text may take; a sound pattern takes microseconds.
_PATIENCE = 10.0


def answer_in(text: str, pattern: str | None) -> str | None:
    """Return the answer in a text; ``None`` where the pattern matches nothing.

    Args:
        text: What was generated, or is right.
        pattern: A regular expression; its last match that is not blank, or the group in it, is
            the answer. ``None``: the whole text is.

    Raises:
        ConfigError: The pattern takes too long: it tries every way to divide the text.
    """
    if pattern is None:
        return text
    # A pattern such as `.*` also matches the nothing that is left at the end.
    try:
        matches = [*regex.finditer(pattern, text, timeout=_PATIENCE)]
    except TimeoutError:
        message = (
            f"takes more than {_PATIENCE:g} s on the text {shown(text)}; repeat nothing that is "
            "repeated itself"
        )
        raise ConfigError([Problem("language.answer", message)]) from None
    found = [match[match.re.groups] or "" for match in matches]
    return next((answer for answer in reversed(found) if answer.strip()), None)


def is_same(answer: str | None, right: str) -> bool:
    """Whether an answer is the right one.

    Two numbers are compared as fractions: 1,000.0 is 1000, 2/4 is 0.5, $5 is 5. Texts are
    compared without case, runs of blanks, and punctuation around them.
    """
    if answer is None:
        return False
    one, other = number(answer), number(right)
    if one is not None and other is not None:
        return one == other
    return normalised(answer) == normalised(right)


def number(text: str) -> Fraction | None:
    """Return the number that a text is; ``None`` where it is none."""
    plain = text.strip(_AROUND.replace(".", "")).removesuffix(".").removesuffix("%")
    plain = plain.removeprefix("$").strip()
    if not plain or len(plain) > _MOST_DIGITS:
        return None
    if match := _RATIO.fullmatch(plain):
        return Fraction(int(match[1]), int(match[2])) if int(match[2]) else None
    if _NUMBER.fullmatch(plain) and any(sign.isdigit() for sign in plain):
        return Fraction(plain.replace(",", ""))
    return None


def normalised(text: str) -> str:
    """Return a text in one Unicode form, folded, with single blanks and bare ends.

    A text of nothing but punctuation keeps it.
    """
    whole = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return whole.strip(_AROUND) or whole
