"""What a suite names before it runs, beside its comparisons."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from ..config import Section
from .reserved import BASE
from .seeds import MOST_SEEDS


class Equivalence(Section):
    """Two arms that may prove to be the same: within ``margin`` of the metric, as a share.

    ``stricter`` is a smaller margin whose test stands beside that of ``margin``, not corrected.
    """

    arm: str
    reference: str = BASE
    margin: float = Field(description="in units of the metric: 0.02 is two points of 100")
    stricter: float | None = None

    @field_validator("margin", "stricter")
    @classmethod
    def _share(cls, margin: float | None) -> float | None:
        if margin is not None and not 0 < margin < 1:
            raise ValueError(
                f"must be a share between 0 and 1 (0.02 is two points), got {margin:g}"
            )
        return margin

    @model_validator(mode="after")
    def _ordered(self) -> Equivalence:
        if self.stricter is not None and self.stricter >= self.margin:
            raise ValueError(
                f"`stricter` must be less than `margin`, but got stricter={self.stricter:g}, "
                f"margin={self.margin:g}"
            )
        return self


class Sequential(Section):
    """When ``ablate --until-decided`` looks: after ``first`` seeds, then after ``every`` more."""

    first: int = Field(4, ge=2)
    every: int = Field(2, ge=1)
    most: int = Field(20, ge=2, le=MOST_SEEDS)

    @model_validator(mode="after")
    def _check(self) -> Sequential:
        if self.most < self.first:
            raise ValueError(
                f"`most` must be at least `first`, but got first={self.first}, most={self.most}"
            )
        return self
