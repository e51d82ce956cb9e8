"""What is said for people while a verb works: never among the results that a program reads."""

from __future__ import annotations

import sys
from collections.abc import Callable


def narrator(as_json: bool = False) -> Callable[[str], None]:
    """Return what prints a line for people: on stdout, or on stderr where stdout is for JSON.

    While a `LiveView` is drawn use its own `say`, which writes above the table.
    """

    def say(line: str) -> None:
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)

    return say
