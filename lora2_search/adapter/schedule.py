"""How many singular values may survive at each step of a run."""

from dataclasses import dataclass
from numbers import Integral


@dataclass(frozen=True)
class BudgetSchedule:
    """A cubic descent from all singular values to the target, as AdaLoRA's.

        b(t) = full                                                  for t ≤ t_init
        b(t) = ⌊target + (full − target) · (1 − (t − t_init) / span)³⌋   between
        b(t) = target                                                for t > T − t_final

    with span = T − t_init − t_final and steps t = 1 … T. Counted in whole numbers, so that no
    rounding of a float can lose a singular value.

    Attributes:
        full: singular values at the start, over all matrices.
        target: singular values at the end, at most `full`.
        total_steps: T.
        t_init: steps before the descent.
        t_final: last steps, during which the mask stays.
        delta_t: steps between two masks.
    """

    full: int
    target: int
    total_steps: int
    t_init: int
    t_final: int
    delta_t: int

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
        if step >= self.last_mask:
            return self.target
        left, span = self.last_mask - step, self.last_mask - self.t_init
        return self.target + (self.full - self.target) * left**3 // span**3

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


def as_steps(setting: float, total_steps: int) -> int:
    """Turn a setting into steps: a whole number as it is, a fraction as that part of T.

    Rounded down, so that fractions which sum to less than 1 leave a step to prune in for any T.
    """
    return int(setting) if isinstance(setting, Integral) else int(setting * total_steps)
