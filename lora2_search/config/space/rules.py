"""Rules between settings: arithmetic of settings and numbers, parsed and never run as code."""

from __future__ import annotations

import ast
import operator
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import did_you_mean, listed
from ..run import RunConfig
from ..settings import is_setting, known_settings, value_of
from .distribution import Distribution, Value, active

_LONGEST = 300

# How many random settings are tried before a rule counts as one that nobody can meet.
_TRIED = 2_000

_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

_GRAMMAR = (
    "a rule compares settings and numbers, joined by + - * / // %, with < <= > >= == or !=, "
    "for example adapter.target_rank <= adapter.r"
)


@dataclass(frozen=True)
class Rule:
    """A comparison that the settings of every trial obey.

    Attributes:
        text: As written.
        settings: The dotted settings in it, in order.
    """

    text: str
    settings: tuple[str, ...]
    _tree: ast.Compare

    def holds(self, setting: Callable[[str], Any]) -> bool:
        """Return whether it holds; false where it divides by zero or meets what is no number.

        Args:
            setting: Returns the value of a dotted setting.
        """
        values = {name: setting(name) for name in self.settings}
        if not all(_is_number(value) for value in values.values()):
            return False
        try:
            sides = [_number(side, values) for side in (self._tree.left, *self._tree.comparators)]
        except ArithmeticError:
            return False
        return all(
            _COMPARISONS[type(comparison)](left, right)
            for comparison, left, right in zip(self._tree.ops, sides, sides[1:], strict=False)
        )


def parse_rule(text: str) -> Rule:
    """Read a rule.

    Raises:
        ValueError: It is none; the message says what a rule is.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters; {_GRAMMAR}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the tokenizer finds odd: `1if`
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(f"cannot be read: {_GRAMMAR}") from None
    if not isinstance(tree, ast.Compare) or any(type(op) not in _COMPARISONS for op in tree.ops):
        raise ValueError(f"compares nothing: {_GRAMMAR}")
    names: dict[str, None] = {}
    for side in (tree.left, *tree.comparators):
        names |= dict.fromkeys(_names(side))
    return Rule(text, tuple(names), tree)


def obeyed(rules: Sequence[Rule], base: RunConfig, params: Mapping[str, Value]) -> bool:
    """Return whether settings obey all rules; what a trial does not search has its fixed value."""

    def setting(name: str) -> Any:
        return params[name] if name in params else value_of(base, name)

    return all(rule.holds(setting) for rule in rules)


def rule_problems(
    texts: Sequence[str], base: RunConfig, search: Mapping[str, Distribution]
) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for rules that are none, or that no settings of the space obey."""
    rules = []
    for index, text in enumerate(texts):
        try:
            rule = parse_rule(text)
        except ValueError as error:
            yield f"rules.{index}", f"{text!r} {error}"
            continue
        wrong = list(_setting_problems(rule, base, search))
        yield from ((f"rules.{index}", f"{text!r}: {problem}") for problem in wrong)
        if not wrong:
            rules.append((index, rule))
    met = [False] * len(rules)
    for params in _random_settings(search):
        holds = [obeyed([rule], base, params) for _, rule in rules]
        if all(holds):
            return
        met = [before or now for before, now in zip(met, holds, strict=True)]
    never = [pair for pair, ever in zip(rules, met, strict=True) if not ever]
    for index, rule in never:
        yield f"rules.{index}", f"{rule.text!r}: none of {_TRIED:,} random settings obeys it"
    if not never:
        yield "rules", f"none of {_TRIED:,} random settings obeys all of them at once"


def _setting_problems(
    rule: Rule, base: RunConfig, search: Mapping[str, Distribution]
) -> Iterator[str]:
    unknown = [name for name in rule.settings if not is_setting(name)]
    for name in unknown:
        yield f"no setting is called {name}; {did_you_mean(name, known_settings())}"
    for name in rule.settings if not unknown else ():
        values = search[name].endpoints() if name in search else [value_of(base, name)]
        for value in values:
            if not _is_number(value):
                yield f"{name} can be {value!r}, which is no number"
                break
    if not unknown and not any(name in search for name in rule.settings):
        yield f"no setting in it is searched; searched are {listed(search)}"


def _random_settings(search: Mapping[str, Distribution]) -> Iterator[dict[str, Value]]:
    draw = random.Random(0)
    for _ in range(_TRIED):
        yield active(search, {name: item.at(draw.random()) for name, item in search.items()})


def _names(node: ast.expr) -> Iterator[str]:
    """Yield the settings below a node.

    Raises:
        ValueError: It is no arithmetic.
    """
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        yield from _names(node.left)
        yield from _names(node.right)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        yield from _names(node.operand)
    elif isinstance(node, ast.Name | ast.Attribute):
        yield _dotted(node)
    elif not isinstance(node, ast.Constant) or not _is_number(node.value):
        raise ValueError(f"holds something else ({ast.unparse(node)!r}): {_GRAMMAR}")


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    raise ValueError(f"holds something else ({ast.unparse(node)!r}): {_GRAMMAR}")


def _number(node: ast.expr, values: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.BinOp):
        left, right = _number(node.left, values), _number(node.right, values)
        return _OPERATIONS[type(node.op)](left, right)
    if isinstance(node, ast.UnaryOp):
        value = _number(node.operand, values)
        return -value if isinstance(node.op, ast.USub) else value
    return node.value if isinstance(node, ast.Constant) else values[_dotted(node)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
