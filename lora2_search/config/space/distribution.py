"""What a space says about one searched setting, and the same for Optuna."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from reprlib import repr as short
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ...errors import did_you_mean, listed
from ..schema import Section
from ..settings import is_used

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

_MOST_STEPS = 2**53

Value = str | int | float | bool | None

METHOD = "method"


def _scalar(value: Any) -> Any:
    if value is not None and not isinstance(value, str | int | float | bool):
        raise ValueError(f"must be a string, a number, true, false or null, but got {short(value)}")
    return value


# Not the union itself: pydantic would report a wrong value once for each of its members.
_Scalar = Annotated[Any, AfterValidator(_scalar)]


class Distribution(Section):
    """The values that one setting may take.

    ``float`` and ``int`` need ``low`` and ``high`` (both included), ``categorical`` needs
    ``choices``. With ``when`` the setting is searched only in trials in which the other setting
    has one of the listed values; elsewhere it keeps its fixed value.
    """

    type: Literal["float", "int", "categorical"]
    low: int | float | None = None
    high: int | float | None = None
    step: int | float | None = None
    log: bool = False
    choices: list[_Scalar] | None = None
    when: dict[str, list[_Scalar]] | None = Field(None, description="one other setting: its values")

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        unknown = (
            [key for key in data if key not in cls.model_fields] if isinstance(data, dict) else []
        )
        if unknown:
            hints = [
                f"unknown key {key!r}; {did_you_mean(str(key), cls.model_fields)}"
                for key in unknown
            ]
            raise ValueError("; ".join(hints))
        if isinstance(data, dict) and "type" not in data:
            raise ValueError("`type` is missing; give float, int or categorical")
        return data

    @model_validator(mode="after")
    def _check(self) -> Distribution:
        problems = self._choice_problems() if self.type == "categorical" else self._range_problems()
        if self.when is not None and (len(self.when) != 1 or not all(self.when.values())):
            problems.append("`when` must name one other setting and at least one of its values")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _choice_problems(self) -> list[str]:
        problems = []
        if not self.choices:
            problems.append(f"`choices` must list at least one value, but got {self.choices}")
        elif len({(type(choice), choice) for choice in self.choices}) < len(self.choices):
            problems.append(f"`choices` must differ from each other, but got {short(self.choices)}")
        for name in ("low", "high", "step"):
            if getattr(self, name) is not None:
                problems.append(f"`{name}` is for int and float; a categorical has only `choices`")
        if self.log:
            problems.append("`log` is for int and float; a categorical has only `choices`")
        return problems

    def _range_problems(self) -> list[str]:
        low, high, step = self.low, self.high, self.step
        if low is None or high is None:
            return [f"`low` and `high` are needed, but got low={low}, high={high}"]
        problems = []
        if low >= high:
            problems.append(f"`low` must be less than `high`, but got low={low}, high={high}")
        if self.log and low <= 0:
            problems.append(f"`low` must be above 0 when `log` is true, but got low={low}")
        if step is not None and self.log:
            problems.append(f"`step` and `log` exclude each other, but got step={step}, log=true")
        if step is not None and step <= 0:
            problems.append(f"`step` must be above 0, but got step={step}")
        elif low < high and (step is not None or self.type == "int"):
            problems += self._step_problems(low, high, step or 1)
        if self.choices is not None:
            problems.append("`choices` is for type categorical; a range has `low` and `high`")
        if self.type == "int":
            written = {"low": low, "high": high, "step": step}
            fractions = [f"{name}={v}" for name, v in written.items() if isinstance(v, float)]
            if fractions:
                problems.append(f"type int needs whole numbers, but got {', '.join(fractions)}")
        return problems

    def _step_problems(self, low: float, high: float, step: float) -> list[str]:
        # Exact, and without the 28 digits at which decimals give up.
        start, end, width = (Fraction(str(number)) for number in (low, high, step))
        steps = (end - start) / width
        if steps > _MOST_STEPS:
            return [
                f"must have at most 2**53 steps, which is what floats can tell apart, but got "
                f"low={low}, high={high}, step={step}"
            ]
        if steps.denominator == 1:
            return []
        nearest = start + math.floor(steps) * width
        shown = int(nearest) if nearest.denominator == 1 else float(nearest)
        return [
            "`high` must be `low` plus a multiple of `step`, but got "
            f"low={low}, high={high}, step={step}; the nearest below is {shown}"
        ]

    def endpoints(self) -> list[Value]:
        """Return the values at the edge: lowest and highest, or every choice."""
        if self.type == "categorical":
            return list(self.choices or [])
        distribution: Any = self.to_optuna()
        return [distribution.low, distribution.high]

    def at(self, share: float) -> Value:
        """Return the value at a share of the range, or of the choices, on the setting's own scale.

        Args:
            share: From 0 to below 1; every value of a stepped range has an equal part of it.
        """
        if self.type == "categorical":
            choices = self.choices or []
            return choices[int(share * len(choices))]
        distribution: Any = self.to_optuna()
        low, high, step = distribution.low, distribution.high, distribution.step
        if self.log:
            whole = 0.5 if self.type == "int" else 0.0
            start, end = math.log(low - whole), math.log(high + whole)
            value = min(max(math.exp(start + share * (end - start)), low), high)
            return round(value) if self.type == "int" else value
        if step is None:
            return float(low + share * (high - low))
        steps = round((high - low) / step) + 1
        value = min(low + int(share * steps) * step, high)
        return value if self.type == "int" else float(value)

    def share(self, value: Any) -> float:
        """Return where a value lies on the setting's own scale, 0 to 1; of choices, by their order.

        The middle of a step or choice: ``at(share(value)) == value``.
        """
        if self.type == "categorical":
            choices = self.choices or []
            return (choices.index(value) + 0.5) / len(choices)
        distribution: Any = self.to_optuna()
        low, high, step = distribution.low, distribution.high, distribution.step
        if self.log:
            whole = 0.5 if self.type == "int" else 0.0
            start, end = math.log(low - whole), math.log(high + whole)
            return (math.log(value) - start) / (end - start)
        if step is None:
            return float((value - low) / (high - low))
        return (round((value - low) / step) + 0.5) / (round((high - low) / step) + 1)

    def problem_with(self, value: Any) -> str | None:
        """Say why no trial can have a value; ``None`` where one can."""
        if self.type == "categorical":
            if self._choice(value) is not None:
                return None
            choices = listed(repr(choice) for choice in self.choices or [])
            return f"must be one of {choices}, but got {short(value)}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"must be a number, but got {short(value)}"
        if self.type == "int" and not isinstance(value, int):
            return f"must be a whole number, but got {short(value)}"
        low, high = self.low, self.high
        assert low is not None and high is not None
        if not low <= value <= high:
            return f"must be from {low} to {high}, but got {short(value)}"
        step = self.step or (1 if self.type == "int" else None)
        start, here = Fraction(str(low)), Fraction(str(value))
        if step is None or ((here - start) / Fraction(str(step))).denominator == 1:
            return None
        return f"must be {low} plus a multiple of {step}, but got {short(value)}"

    def exact(self, value: Any) -> Value:
        """Return a possible value as a trial has it: the choice itself, a float of a float."""
        if self.type == "categorical":
            chosen: Value = (self._choice(value) or [value])[0]
            return chosen
        return float(value) if self.type == "float" else int(value)

    def _choice(self, value: Any) -> list[Any] | None:
        """Return the choice that a value is, in a list; true is no 1, but 1 is 1.0."""
        same = [
            choice
            for choice in self.choices or []
            if choice == value and isinstance(choice, bool) == isinstance(value, bool)
        ]
        return same[:1] or None

    def to_optuna(self) -> BaseDistribution:
        """Return the same as an Optuna distribution."""
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        if self.type == "categorical":
            return CategoricalDistribution(self.choices)
        if self.type == "int":
            return IntDistribution(self.low, self.high, log=self.log, step=self.step or 1)
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def suggest(self, trial: BaseTrial, name: str) -> Value:
        """Let an Optuna trial choose the value of setting ``name``."""
        if self.type == "categorical":
            return trial.suggest_categorical(name, self.choices or [])
        assert self.low is not None and self.high is not None
        if self.type == "int":
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(name, low, high, step=step, log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def conditions(self) -> list[tuple[str, list[Value]]]:
        """Return the other settings that decide whether this one is searched."""
        return list((self.when or {}).items())

    def applies(self, params: Mapping[str, Value]) -> bool:
        """Return whether ``when`` holds for the settings chosen so far."""
        return all(
            other in params and params[other] in values for other, values in self.conditions()
        )


def in_order(search: Mapping[str, Distribution]) -> list[tuple[str, Distribution]]:
    """Return the searched settings so that none comes before one that it depends on."""
    return sorted(search.items(), key=lambda item: (item[1].when is not None, item[0] != METHOD))


def is_searched(name: str, item: Distribution, params: Mapping[str, Value]) -> bool:
    """Return whether a trial with these values searches a setting.

    Its ``when`` holds; and where the method is searched too, the trial's method looks at the
    setting, or ``when`` says that this method shall.
    """
    if not item.applies(params):
        return False
    return METHOD not in params or METHOD in (item.when or {}) or is_used(name, str(params[METHOD]))


def active(search: Mapping[str, Distribution], values: Mapping[str, Value]) -> dict[str, Value]:
    """Return those of the values, one for every searched setting, that such a trial searches."""
    chosen: dict[str, Value] = {}
    for name, item in in_order(search):
        if is_searched(name, item, chosen):
            chosen[name] = values[name]
    return chosen


def is_conditional(search: Mapping[str, Distribution]) -> bool:
    """Return whether some trials search fewer settings than others."""
    methods = [str(method) for method in search[METHOD].endpoints()] if METHOD in search else []
    unused = any(not is_used(name, method) for name in search for method in methods)
    return unused or any(item.when for item in search.values())
