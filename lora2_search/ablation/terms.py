"""What a suite names before it runs, beside its comparisons."""

from __future__ import annotations

from pydantic import Field, model_validator

from ..config import Section
from .reserved import BASE


class Equivalence(Section):
    """Two arms that may prove to be the same: within ``margin`` of the metric, as a share."""

    arm: str
    reference: str = BASE
    margin: float = Field(gt=0, description="in units of the metric: 0.02 is two points of 100")


class Sequential(Section):
    """When ``ablate --until-decided`` looks: after ``first`` seeds, then after ``every`` more."""

    first: int = Field(4, ge=2)
    every: int = Field(2, ge=1)
    most: int = Field(20, ge=2)

    @model_validator(mode="after")
    def _check(self) -> Sequential:
        if self.most < self.first:
            raise ValueError(
                f"`most` must be at least `first`, but got first={self.first}, most={self.most}"
            )
        return self
