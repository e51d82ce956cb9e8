"""YAML read safely, with the place of every key: files, `extends`, overrides."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError, Problem
from ..store import find_file, shipped

KeyPath = tuple[str, ...]

# Settings as YAML has them: nested mappings, lists and plain values.
Data = dict[str, Any]

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


def parse_yaml(text: str, place: Place) -> tuple[Any, dict[KeyPath, str]]:
    """Return what a YAML text holds, and where each key of it stands.

    Every key is a text, as it is written: a level called ``8`` or ``1e-3`` keeps its name.

    Args:
        text: One YAML document; an empty one is ``None``.
        place: Tells where a line (0, 1 ...) stands, for messages.

    Raises:
        ConfigError: The text is no YAML, repeats a key, has a key that is no text, contains itself,
            holds a tag that makes something else than a plain value, a value that is not what its
            tag says, or more than any settings hold.
    """
    try:
        loader, node = _composed(text, place)
        if node is None:
            return None, {}
        visitor = _Visitor(loader, place)
        visitor.visit(node, (), ())  # before construction, which unfolds `<<`
        if visitor.problems:
            raise ConfigError(visitor.problems)
        return loader.construct_document(node), visitor.where
    except yaml.YAMLError as error:
        raise ConfigError([_broken(text, error, place)]) from None


def _composed(text: str, place: Place) -> tuple[_Loader, yaml.Node | None]:
    loader = _Loader(text)
    try:
        return loader, loader.get_single_node()
    except (ValueError, OverflowError) as error:
        # PyYAML's scanner turns digits of escapes and versions into numbers unchecked.
        message = f"invalid YAML: {error}"
        raise ConfigError([Problem("", message, place(loader.get_mark().line))]) from None


class _Visitor:
    """Where each key stands, and what is wrong with keys and values.

    An alias is a node met before: visited once, or a few lines explode.
    """

    def __init__(self, loader: _Loader, place: Place) -> None:
        self.where: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []
        self._loader, self._place = loader, place
        self._visited: set[int] = set()

    def visit(self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]) -> None:
        if node in above:
            self._add(path, node, "contains itself through an alias")
        if id(node) in self._visited:
            return
        self._visited.add(id(node))
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
        return "a key must be a string, but got a list or a mapping"
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
        return (
            f"{text!r} contains a character that is not allowed in names: NUL, or half a "
            "surrogate pair"
        )
    return None


def _number_problem(text: str) -> str | None:
    digits = text.lstrip("+-")
    if len(digits) > MOST_DIGITS:
        return f"has {len(digits):,} digits; a whole number has at most {MOST_DIGITS}"
    if ":" in digits or re.fullmatch(r"0[0-9_]+", digits):
        # 010 is 8 in YAML 1.1 and 10 in 1.2; 1:30 is 90 in the one and a text in the other.
        return f"{text} is ambiguous in YAML; write a plain number, or quote it to make it a string"
    return None


def _broken(text: str, error: yaml.YAMLError, place: Place) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position)
        message = (
            f"contains a character that is not allowed in text (U+{error.character:04X}); "
            "save it as UTF-8"
        )
        return Problem("", message, place(line))
    mark = getattr(error, "problem_mark", None)
    return Problem("", _message(error), place(mark.line if mark else 0))


def _message(error: yaml.YAMLError) -> str:
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    if isinstance(error, _TooMuch):
        return f"{problem}, more than settings ever need"
    context, mark = getattr(error, "context", None), getattr(error, "problem_mark", None)
    if not context:
        return f"invalid YAML: {problem}"
    begun = getattr(error, "context_mark", None)
    elsewhere = begun and (mark is None or begun.line != mark.line)
    where = f", started in line {begun.line + 1}" if begun and elsewhere else ""
    return f"invalid YAML: {problem} ({context}{where})"


# A longer chain is a mistake.
_MOST_EXTENDED = 20

_MOST_SHOWN = 200

_ASSIGNED = "--set "

_SHIPPED = ("search_spaces", "ablations")


@dataclass
class Source:
    """A mapping read from YAML, Python or the command line.

    Attributes:
        data: The nested mapping.
        where: ``file:line``, or the assignment, of each key path.
        name: What to call the whole source in a message.
    """

    data: Data
    where: dict[KeyPath, str] = field(default_factory=dict)
    name: str = ""

    def place(self, path: KeyPath) -> str:
        """Return where ``path``, or its nearest written parent, stands."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.where:
                return self.where[path[:end]]
        return self.name

    def error(self, problems: Iterable[Problem]) -> ConfigError:
        """Return the mistakes, each once; one that an assignment brought stands at it.

        A rule between settings is reported under their group. Where its message gives the value of
        a setting that was assigned (``target_rank=9``), the assignment is what broke it.
        """
        assigned = {
            path[-1]: place for path, place in self.where.items() if place.startswith(_ASSIGNED)
        }
        return ConfigError(list(dict.fromkeys(_blamed(problem, assigned) for problem in problems)))

    def check_size(self) -> None:
        """Check that the data end, and are no larger than settings are; aliases count each time.

        Raises:
            ConfigError: They contain themselves, nest too deep or hold too much.
        """
        left = MOST_VALUES

        def visit(value: Any, path: KeyPath) -> None:
            nonlocal left
            left -= 1
            problem = None
            if left < 0:
                problem = f"stands for more than {MOST_VALUES:,} values, aliases unfolded"
            elif len(path) > MOST_DEPTH:
                problem = f"nests deeper than {MOST_DEPTH} levels, aliases unfolded"
            elif isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
                problem = f"a whole number has at most {MOST_DIGITS} digits"
            elif isinstance(value, dict) and len(value) > MOST_KEYS:
                problem = f"holds {len(value):,} keys; at most {MOST_KEYS:,} are read"
            if problem is not None:
                raise ConfigError([Problem(".".join(path[:2]), problem, self.place(path[:2]))])
            if isinstance(value, dict):
                for key, inner in value.items():
                    visit(inner, (*path, str(key)))
            elif isinstance(value, list):
                for inner in value:
                    visit(inner, (*path, "0"))

        visit(self.data, ())


def _blamed(problem: Problem, assigned: Mapping[str, str]) -> Problem:
    if problem.where.startswith(_ASSIGNED):
        return problem
    named = re.findall(r"(\w+)=", problem.message)
    places = [assigned[name] for name in dict.fromkeys(named) if name in assigned]
    return replace(problem, where=", ".join(places)) if places else problem


def read_yaml(path: Path, _chain: tuple[Path, ...] = ()) -> Source:
    """Read a YAML mapping with its ``extends:`` chain resolved.

    ``extends`` names a file from the folder of the one that says so, else a shipped space or suite.
    The file's own keys win over those of the file it extends; mappings merge key by key.

    Raises:
        ConfigError: The file is missing, larger than settings are, no text, no mapping, extends
            itself, or holds what ``parse_yaml`` refuses.
    """
    path = path.absolute()
    if path in _chain:
        chain = " -> ".join(item.name for item in (*_chain, path))
        raise ConfigError([Problem("extends", f"the files extend each other: {chain}", str(path))])
    own = _read(path)
    if "extends" not in own.data:
        return own
    parent, place = own.data.pop("extends"), own.place(("extends",))
    if parent is None:
        return own
    if not isinstance(parent, str):
        raise ConfigError([Problem("extends", f"must be a file name, but got {parent!r}", place)])
    target = _extended(path, parent)
    if target is None:
        message = (
            f"no file {path.parent / parent}, and no shipped file has that name; name a YAML "
            f"file beside {path.name}, or a shipped one such as quickstart.yaml"
        )
        raise ConfigError([Problem("extends", message, place)])
    if len(_chain) >= _MOST_EXTENDED:
        message = f"more than {_MOST_EXTENDED} files extend each other in a row; write them as one"
        raise ConfigError([Problem("extends", message, place)])
    base = read_yaml(target, (*_chain, path))
    own.check_size()
    base.check_size()
    data = merge(base.data, own.data)
    return Source(data, _laid_over(base.where, own.where, own.data, data), own.name)


def _extended(path: Path, name: str) -> Path | None:
    """Return the file that ``path`` extends, ``None`` where there is none."""
    sibling = path.parent / name
    siblings = [sibling] if os.path.isfile(sibling) else []  # unlike Path.is_file, never fails
    # A bare name alone: a path says where to look.
    bare = os.path.basename(name) == name
    also = [shipped(kind) / name for kind in _SHIPPED] if bare else []
    candidates = siblings + [item for item in also if os.path.isfile(item)]
    others = [item for item in candidates if item != path]
    return next(iter(others or candidates), None)


def merge(base: Data, over: Data) -> Data:
    """Return ``base`` with ``over`` laid on top; a searched setting is replaced as a whole."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict) and "." not in str(key):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def named_source(name: str, kind: str, overrides: Sequence[str]) -> Source:
    """Read a space or suite by path or by the name of a shipped one; its name is the file's.

    Raises:
        UserError: No such file.
        ConfigError: The file or an assignment is no YAML.
    """
    path = find_file(name, kind)
    source = read_yaml(path)
    source.data.setdefault("name", path.stem)
    return with_overrides(source, overrides)


def with_overrides(source: Source, assignments: Sequence[str]) -> Source:
    """Lay ``key=value`` assignments (``adapter.k=4``) over a source.

    Values are YAML. A setting that is assigned is no longer searched.

    Raises:
        ConfigError: An assignment has no ``=`` or its value is broken YAML; all of them together.
    """
    problems: list[Problem] = []
    for text in assignments:
        try:
            source = _assigned(source, text)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return source


@dataclass(frozen=True)
class Assignment:
    """A ``key=value`` of the command line.

    Attributes:
        key: Dotted.
        value: What its YAML holds.
        place: Where it stands, for people: ``--set adapter.k=4``.
        inner: The keys inside the value.
    """

    key: str
    value: Any
    place: str
    inner: tuple[KeyPath, ...] = ()


def read_assignment(text: str, option: str = _ASSIGNED) -> Assignment:
    """Read ``key=value``; the value is YAML.

    Args:
        text: As it was written.
        option: Before it, for messages: ``--set ``.

    Raises:
        ConfigError: There is no ``=``, no key, or broken YAML.
    """
    written, sign, raw = text.partition("=")
    key = written.strip()
    place = option + (text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…")
    if not sign or not key:
        raise ConfigError([Problem("", "must read key=value, for example adapter.k=4", place)])
    path = _key_path(key)
    if len(path) > MOST_DEPTH:
        raise ConfigError([Problem("", f"names a key of {len(path)} parts", place)])
    try:
        value, inner = parse_yaml(raw, lambda line: place)
    except ConfigError as error:
        keys = [".".join(filter(None, (key, problem.key))) for problem in error.problems]
        problems = [replace(p, key=key) for p, key in zip(error.problems, keys, strict=True)]
        raise ConfigError(problems) from None
    return Assignment(key, value, place, tuple(inner))


def _assigned(source: Source, text: str) -> Source:
    read = read_assignment(text)
    key, place, path = read.key, read.place, _key_path(read.key)
    nested: Any = read.value
    for part in reversed(path):
        nested = {part: nested}
    Source(nested, {path: place}).check_size()
    data = merge(source.data, nested)
    searched = data.get("search")
    if isinstance(searched, dict) and key in searched:
        data = {**data, "search": {k: v for k, v in searched.items() if k != key}}
        data = _not_tried(data, key)
    where = {path: place, **{(*path, *below): place for below in read.inner}}
    return Source(data, _laid_over(source.where, where, nested, data), source.name)


def _not_tried(data: Data, key: str) -> Data:
    """Return a space whose first trials leave a setting out that is no longer searched."""
    tried = data.get("try_first")
    if not isinstance(tried, list) or not any(isinstance(item, dict) for item in tried):
        return data
    left = [_without(item, key) if isinstance(item, dict) else item for item in tried]
    return {**data, "try_first": [item for item in left if item != {}]}


def _without(entry: Data, key: str) -> Data:
    """Return settings, dotted or nested, without one of them."""
    head, _, rest = key.partition(".")
    left = {name: value for name, value in entry.items() if name != key}
    if isinstance(left.get(head), dict):
        left[head] = _without(left[head], rest)
    return {name: value for name, value in left.items() if value != {}}


def _laid_over(
    base: Mapping[KeyPath, str], own: Mapping[KeyPath, str], over: Any, merged: Any
) -> dict[KeyPath, str]:
    """Return where the keys of merged data stand: what was replaced whole stands no longer."""

    def is_replaced(path: KeyPath) -> bool:
        new, now = over, merged
        for part in path:
            if not isinstance(new, dict) or part not in new:
                return False
            new, now = new[part], now[part]
            if new is now:
                return True
        return False

    return {**{path: place for path, place in base.items() if not is_replaced(path)}, **own}


def _key_path(key: str) -> KeyPath:
    # Below `search` the keys are themselves dotted names of settings.
    head, _, rest = key.partition(".")
    return (head, rest) if head == "search" and rest else tuple(key.split("."))


def _read(path: Path) -> Source:
    if os.path.isdir(path):
        raise ConfigError([Problem("", "is a folder; name a YAML file", str(path))])
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        text = _decoded(raw)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError([Problem("", f"cannot be read: {why}", str(path))]) from None
    data, where = parse_yaml(text, lambda line: f"{path}:{line + 1}")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        message = f"must be a mapping of settings, but got {type(data).__name__}"
        raise ConfigError([Problem("", message, str(path))])
    return Source(data, where, str(path))


def _decoded(raw: bytes) -> str:
    """Return the text of a file: UTF-8, or UTF-16 that says so by its first two bytes."""
    if len(raw) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES:,} bytes, more than settings ever need")
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"line {line} is not UTF-8 (byte 0x{raw[error.start]:02x}); save the file as UTF-8"
        ) from None
