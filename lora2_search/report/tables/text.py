"""Numbers as text, and the columns that hold them: one form for terminal, page and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...analysis import setting
from .table import NONE, Column, Interval, Spread


def changes(settings: Mapping[str, Any] | None) -> str:
    """Return what an arm changes: ``adapter.gamma: 0``."""
    given = (settings or {}).items()
    return ", ".join(f"{key}: {setting(value, exact=True)}" for key, value in given) or NONE


def level(value: float | None, metric: str) -> str:
    """Return a score with its unit: accuracy in per cent, correlations as they are."""
    if value is None:
        return NONE
    return f"{_scaled(value, metric)} %" if in_points(metric) else _scaled(value, metric)


def signed(value: float | None, metric: str) -> str:
    """Return a difference of scores with its sign and its unit."""
    if value is None:
        return NONE
    text = _scaled(value, metric, "+")
    return f"{text} points" if in_points(metric) else text


def interval(low: float | None, high: float | None, metric: str) -> str:
    """Return an interval of a difference."""
    if low is None or high is None:
        return NONE
    return f"{_scaled(low, metric, '+')} to {_scaled(high, metric, '+')}"


def in_points(metric: str) -> bool:
    """Whether a metric is a share of sentences, shown in per cent and points."""
    return metric == "accuracy"


def p_value(p: float | None) -> str:
    """Return a p value with three digits, never as zero."""
    if p is None:
        return NONE
    return "< 0.0001" if p < 0.0001 else f"{p:.3g}" if p < 0.01 else f"{p:.3f}"


def p_words(p: float | None) -> str:
    """Return a p value within a sentence: ``p = 0.012``, ``p < 0.0001``."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them: ``a, b and c``."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def count(number: float | None) -> str:
    """Return a number of parameters; a mean over seeds is rounded."""
    return NONE if number is None else f"{round(number):,}"


def seconds(value: float | None) -> str:
    """Return a time in whole seconds, without its unit."""
    return NONE if value is None else f"{value:.0f}"


def scores(key: str, heading: str, metric: str) -> Column:
    """Return a column of scores, numbers or `Spread`: mean ± what lies around it."""

    def text(value: float | Spread | None) -> str:
        if value is None:
            return NONE
        if not isinstance(value, Spread):
            return _scaled(value, metric)
        mean = _scaled(value.mean, metric)
        return mean if value.around is None else f"{mean} ± {_scaled(value.around, metric)}"

    return Column(key, heading, format=text, unit="%" if in_points(metric) else "")


def differences(key: str, heading: str, metric: str) -> Column:
    """Return a column of differences of scores, numbers or `Interval`."""

    def text(value: float | Interval | None) -> str:
        if isinstance(value, Interval):
            return interval(*value, metric)
        return NONE if value is None else _scaled(value, metric, "+")

    return Column(key, heading, format=text, unit="points" if in_points(metric) else "")


def p_values(key: str, heading: str | None = None) -> Column:
    """Return a column of p values; its heading is its key, if none is given."""
    return Column(key, heading or key, format=p_value)


def counts(key: str, heading: str | None = None) -> Column:
    """Return a column of whole numbers; its heading is its key, if none is given."""
    return Column(key, heading or key, format=count)


def chosen_values(key: str, heading: str) -> Column:
    """Return a column of settings; a dash says that there is no such setting."""
    return Column(key, heading, format=lambda value: NONE if value is None else setting(value))


def between(low: float | None, high: float | None) -> Interval | None:
    """Return an interval; ``None`` where an end is not known."""
    return None if low is None or high is None else Interval(low, high)


def _scaled(value: float, metric: str, sign: str = "") -> str:
    """Return a score or a difference of scores in the digits of its metric, without a unit."""
    factor, digits = (100.0, 2) if in_points(metric) else (1.0, 4)
    # The last bits of a mean depend on the order of its sum, and must not decide a half.
    return f"{round(factor * value, 9):{sign}z.{digits}f}"
