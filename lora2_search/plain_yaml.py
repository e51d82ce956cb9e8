"""Read YAML text as plain values, each key with its place, within what a settings file needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from .errors import ConfigError, Problem

KeyPath = tuple[str, ...]
# Tells where a line of the text stands, for people.
Place = Callable[[int], str]

# The largest suites have a few thousand values, six levels deep. Within these bounds a text is
# read in under a second, whatever it holds.
MOST_BYTES = 1_000_000
MOST_VALUES = 20_000
MOST_DEPTH = 30
MOST_KEYS = 2_000
_MOST_CHARACTERS = 5_000
MOST_DIGITS = 30

_TAG = "tag:yaml.org,2002:"
_SCALARS = {_TAG + name for name in ("str", "int", "float", "bool", "null")}
_PLAIN = _SCALARS | {_TAG + name for name in ("map", "seq", "merge")}
# No text that a file name, a terminal or a UTF-8 file could take.
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")


class _TooMuch(yaml.MarkedYAMLError):
    """YAML that is right, but larger than any settings are."""


class _Loader(yaml.SafeLoader):
    """Safe YAML in which ``1e-3`` is a number, as in YAML 1.2, and a date is a text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose as always, but stop where it gets too deep or too much."""
        self._depth += 1
        self._values += 1
        mark = self.peek_event().start_mark
        if self._depth > MOST_DEPTH:
            raise _TooMuch(problem=f"nests deeper than {MOST_DEPTH} levels", problem_mark=mark)
        if self._values > MOST_VALUES:
            raise _TooMuch(problem=f"holds more than {MOST_VALUES:,} values", problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_FLOAT = re.compile(
    r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
)
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] in _PLAIN - {_TAG + "float"}]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# After the integers, which it matches too.
_Loader.add_implicit_resolver(_TAG + "float", _FLOAT, list("-+.0123456789"))


def parse(text: str, place: Place) -> tuple[Any, dict[KeyPath, str]]:
    """Return what a YAML text holds, and where each key of it stands.

    Every key is a text, as it is written: a level called ``8`` or ``1e-3`` keeps its name.

    Args:
        text: One YAML document; an empty one is ``None``.
        place: Tells where a line (0, 1 ...) stands, for messages.

    Raises:
        ConfigError: The text is no YAML, repeats a key, has a key that is no text, contains itself,
            holds a tag that makes something else than a plain value, a value that is not what its
            tag says, or more than any settings do.
    """
    try:
        loader, node = _composed(text, place)
        if node is None:
            return None, {}
        found = _Found(loader, place)
        found.visit(node, (), ())  # before construction, which unfolds `<<`
        if found.problems:
            raise ConfigError(found.problems)
        return loader.construct_document(node), found.where
    except yaml.YAMLError as error:
        raise ConfigError([_broken(text, error, place)]) from None


def _composed(text: str, place: Place) -> tuple[_Loader, yaml.Node | None]:
    loader = _Loader(text)
    try:
        return loader, loader.get_single_node()
    except (ValueError, OverflowError) as error:
        # PyYAML's scanner turns digits of escapes and versions into numbers unchecked.
        message = f"broken YAML: {error}"
        raise ConfigError([Problem("", message, place(loader.get_mark().line))]) from None


class _Found:
    """Where each key stands, and what is wrong with keys and values.

    An alias is a node met before: visited once, or a few lines explode.
    """

    def __init__(self, loader: _Loader, place: Place) -> None:
        self.where: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []
        self._loader, self._place = loader, place
        self._seen: set[int] = set()

    def visit(self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]) -> None:
        if node in above:
            self._add(path, node, "contains itself through an alias")
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        if node.tag not in _PLAIN:
            kind = node.tag.removeprefix(_TAG)
            self._add(path, node, f"tag {kind!r}: only plain values are read here, never code")
        elif isinstance(node, yaml.MappingNode):
            self._visit_keys(node, path, above)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                inner = (*path, str(index))
                self.where[inner] = self._place(value.start_mark.line)
                self.visit(value, inner, (*above, node))
        elif isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            self._check_scalar(node, path)

    def _visit_keys(
        self, node: yaml.MappingNode, path: KeyPath, above: tuple[yaml.Node, ...]
    ) -> None:
        first: dict[str, int] = {}
        for index, (key, value) in enumerate(node.value):
            if (problem := _key_problem(key)) is not None:
                self._add(path, key, problem)
                continue
            inner = (*path, str(key.value))
            if key.tag != _TAG + "merge":
                node.value[index] = (_as_text(key), value)
                line = first.setdefault(key.value, index)
                if line != index:
                    earlier = node.value[line][0].start_mark.line + 1
                    self._add(inner, key, f"written twice (first at line {earlier})")
            self.where[inner] = self._place(key.start_mark.line)
            self.visit(value, inner, (*above, node))

    def _check_scalar(self, node: yaml.ScalarNode, path: KeyPath) -> None:
        problem = _text_problem(node.value)
        if problem is None and node.tag == _TAG + "int":
            problem = _number_problem(node.value)
        try:
            if problem is None:
                self._loader.construct_object(node)
        except (ValueError, LookupError, ArithmeticError):
            problem = f"{node.value!r} is no {node.tag.removeprefix(_TAG)}"
        if problem is not None:
            self._add(path, node, problem)

    def _add(self, path: KeyPath, node: yaml.Node, message: str) -> None:
        where = self._place(node.start_mark.line)
        self.problems.append(Problem(".".join(path), message, where))


def _key_problem(key: yaml.Node) -> str | None:
    if not isinstance(key, yaml.ScalarNode):
        return "a key must be a text, but got a list or a mapping"
    if key.tag in (_TAG + "bool", _TAG + "null"):
        what = "nothing" if key.tag.endswith("null") else "true or false"
        return f"YAML reads the key {key.value!r} as {what}; put it in quotes"
    return _text_problem(key.value)


def _as_text(key: yaml.ScalarNode) -> yaml.ScalarNode:
    return yaml.ScalarNode(_TAG + "str", key.value, key.start_mark, key.end_mark)


def _text_problem(text: str) -> str | None:
    if len(text) > _MOST_CHARACTERS:
        return f"has {len(text):,} characters; a text has at most {_MOST_CHARACTERS:,}"
    if _UNUSABLE.search(text):
        return f"{text!r} holds a character that no name may have: NUL, or half a surrogate pair"
    return None


def _number_problem(text: str) -> str | None:
    digits = text.lstrip("+-")
    if len(digits) > MOST_DIGITS:
        return f"has {len(digits):,} digits; a whole number has at most {MOST_DIGITS}"
    if ":" in digits or re.fullmatch(r"0[0-9_]+", digits):
        # 010 is 8 in YAML 1.1 and 10 in 1.2; 1:30 is 90 in the one and a text in the other.
        return f"{text} is ambiguous in YAML; write a plain number, or quote it to mean a text"
    return None


def _broken(text: str, error: yaml.YAMLError, place: Place) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position)
        message = (
            f"holds a character that no text may have (U+{error.character:04X}); save it as UTF-8"
        )
        return Problem("", message, place(line))
    mark = getattr(error, "problem_mark", None)
    return Problem("", _message(error), place(mark.line if mark else 0))


def _message(error: yaml.YAMLError) -> str:
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    if isinstance(error, _TooMuch):
        return f"{problem}, more than any settings do"
    context, mark = getattr(error, "context", None), getattr(error, "problem_mark", None)
    if not context:
        return f"broken YAML: {problem}"
    begun = getattr(error, "context_mark", None)
    elsewhere = begun and (mark is None or begun.line != mark.line)
    where = f", begun in line {begun.line + 1}" if begun and elsewhere else ""
    return f"broken YAML: {problem} ({context}{where})"
