"""What every test and interval of this room returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """An estimate, its interval and its p value.

    A number that cannot be had is ``None``, never NaN, and ``note`` says why.

    Attributes:
        estimate: The number itself: a mean difference, a mean correlation, a score.
        low: Lower end of the interval: 95 %, or 90 % of a test of equivalence.
        high: Upper end of it.
        p: p value, not corrected for multiplicity.
        n: Independent units behind the estimate, here seeds.
        method: How interval and p value were made.
        note: Why a number is missing, or what to bear in mind.
    """

    __test__ = False  # its name makes pytest take it for a class of tests

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    n: int = 0
    method: str = ""
    note: str = ""
