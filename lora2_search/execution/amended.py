"""Methods of Ray that do otherwise than they should, for the time of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Method = Callable[..., Any]


@contextmanager
def amended(owner: type, name: str, amend: Callable[[Method], Method]) -> Iterator[None]:
    """Put what ``amend`` makes of a method in its place.

    Args:
        owner: The method's class.
        name: Of the method.
        amend: Takes Ray's own method.
    """
    own = getattr(owner, name)
    setattr(owner, name, amend(own))
    try:
        yield
    finally:
        setattr(owner, name, own)
