"""How many singular values may survive at each step of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral

from .config import Lora2Config

_POWERS = {"cubic": 3, "linear": 1}


@dataclass(frozen=True)
class BudgetSchedule:
    """A descent from all singular values to the target; the cubic one is AdaLoRA's.

        b(t) = full                                                  for t ≤ t_init
        b(t) = ⌊target + (full − target) · (1 − (t − t_init) / span)ᵉ⌋   between
        b(t) = target                                                for t ≥ T − t_final

    with span = T − t_init − t_final, steps t = 1 … T and e = 3 (cubic) or 1 (linear); "constant"
    has the target from t = t_init + 1 on. Counted in whole numbers, so that no rounding of a
    float can lose a singular value.

    Attributes:
        full: singular values at the start, over all matrices.
        target: singular values at the end, at most `full`.
        total_steps: T.
        t_init: steps before the descent.
        t_final: last steps, during which the mask stays.
        delta_t: steps between two masks.
        descent: "cubic", "linear" or "constant".
    """

    full: int
    target: int
    total_steps: int
    t_init: int
    t_final: int
    delta_t: int
    descent: str = "cubic"

    def __post_init__(self) -> None:
        if self.t_init + self.t_final >= self.total_steps:
            raise ValueError(
                "`t_init` + `t_final` must be less than the total steps, but got "
                f"t_init={self.t_init}, t_final={self.t_final}, total steps={self.total_steps}."
            )

    @property
    def last_mask(self) -> int:
        """T − t_final: the step that masks for the last time."""
        return self.total_steps - self.t_final

    def budget(self, step: int) -> int:
        """Singular values allowed at a step.

        Raises:
            ValueError: the step lies outside 1 … T.
        """
        self._check(step)
        if step <= self.t_init:
            return self.full
        if step >= self.last_mask or self.descent == "constant":
            return self.target
        remaining, span = self.last_mask - step, self.last_mask - self.t_init
        power = _POWERS[self.descent]
        return self.target + (self.full - self.target) * remaining**power // span**power

    def masks_at(self, step: int) -> bool:
        """Whether a new mask is drawn: every `delta_t` between the edges, always at the last."""
        self._check(step)
        if step == self.last_mask:
            return True
        return step % self.delta_t == 0 and self.t_init < step < self.last_mask

    def scores_at(self, step: int) -> bool:
        """Whether importance is still averaged: at every step before the last mask."""
        self._check(step)
        return step < self.last_mask

    def _check(self, step: int) -> None:
        if not 1 <= step <= self.total_steps:
            raise ValueError(
                f"`step` must be between 1 and the total steps, but got step={step}, "
                f"total steps={self.total_steps}."
            )


def schedule_for(config: Lora2Config, ranks: Sequence[int], total_steps: int) -> BudgetSchedule:
    """The schedule of a run: settings that are fractions become steps, mean ranks a budget.

    Args:
        config: the adapter's settings.
        ranks: singular values per matrix at the start.
        total_steps: T.

    Raises:
        ValueError: `t_init` + `t_final` leave no step to prune in.
    """
    target = sum(ranks)
    if config.target_rank is not None:
        # As it was written: 4.1 on 30 matrices is 123, where floats say 122.999….
        target = int(Fraction(str(config.target_rank)) * len(ranks))
    return BudgetSchedule(
        full=sum(ranks),
        # A rank pattern may start below the target.
        target=min(target, sum(ranks)),
        total_steps=total_steps,
        t_init=as_steps(config.t_init, total_steps),
        t_final=as_steps(config.t_final, total_steps),
        delta_t=max(1, as_steps(config.delta_t, total_steps)),
        descent=config.budget,
    )


def as_steps(setting: float, total_steps: int) -> int:
    """Turn a setting into steps: a whole number as it is, a fraction as that part of T.

    Rounded down, so that fractions which sum to less than 1 leave a step to prune in for any T.
    """
    return int(setting) if isinstance(setting, Integral) else int(setting * total_steps)
