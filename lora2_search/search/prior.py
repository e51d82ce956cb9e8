"""What a study took over from an older one, and how Optuna's study keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..analysis import PRIOR, WARM_START
from ..config.space import Space

if TYPE_CHECKING:
    from optuna.study import Study as OptunaStudy
    from optuna.trial import FrozenTrial

_PLAN = "warm start plan"


@dataclass(frozen=True)
class PriorTrial:
    """A trial of an older study, in the terms of the new one.

    Attributes:
        number: In the older study.
        params: The settings that the new study searches.
        values: Of the new study's objectives, the score first.
        constraints: By how much it is beyond each bound; see ``constraint_excesses``.
    """

    number: int
    params: Mapping[str, Any]
    values: Sequence[float]
    constraints: Mapping[str, float]

    def as_optuna(self, space: Space, study: str) -> FrozenTrial:
        """Return it as a complete trial over the space's own distributions."""
        from optuna.trial import create_trial

        known = space.distributions()
        return create_trial(
            values=list(self.values),
            params=dict(self.params),
            distributions={name: known[name] for name in self.params},
            constraints=dict(self.constraints),
            user_attrs={PRIOR: f"trial {self.number} of {study}"},
        )


@dataclass(frozen=True)
class WarmStart:
    """What is taken over; either ``prior`` or ``first`` is empty.

    Attributes:
        study: The older study.
        prior: Its trials that only inform the sampler.
        first: Its best trials, whose settings go first.
        line: The same in a sentence.
    """

    study: str = ""
    prior: tuple[PriorTrial, ...] = ()
    first: tuple[PriorTrial, ...] = ()
    line: str = ""

    def keep(self, study: OptunaStudy) -> None:
        """Write it into a study that begins; `stored_plan` reads it back."""
        study.set_user_attr(_PLAN, asdict(self))
        study.set_user_attr(WARM_START, self.line)


def stored_plan(study: OptunaStudy) -> WarmStart:
    """Return what a study was to take over when it began: nothing, for most."""
    stored = study.user_attrs.get(_PLAN)
    if stored is None:
        return WarmStart()
    trials = {key: tuple(PriorTrial(**item) for item in stored[key]) for key in ("prior", "first")}
    return WarmStart(stored["study"], line=stored["line"], **trials)
