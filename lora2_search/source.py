"""Read YAML safely and remember where each key was written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .errors import ConfigError, Problem

KeyPath = tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """Safe YAML whose floats follow YAML 1.2, so that ``1e-3`` is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
    list("-+.0123456789"),
)
# Integers must win over the float pattern above, which matches them too.
for _first, _resolvers in _Loader.yaml_implicit_resolvers.items():
    _resolvers.sort(key=lambda pair: pair[0] != "tag:yaml.org,2002:int")


@dataclass
class Source:
    """A mapping read from YAML, Python or the command line.

    Attributes:
        data: The nested mapping.
        where: ``file:line`` of each key path.
        name: What to call the whole source in a message.
    """

    data: dict[str, Any]
    where: dict[KeyPath, str] = field(default_factory=dict)
    name: str = ""

    def place(self, path: KeyPath) -> str:
        """Return where ``path``, or its nearest written parent, stands."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.where:
                return self.where[path[:end]]
        return self.name


def read_yaml(path: Path, _seen: tuple[Path, ...] = ()) -> Source:
    """Read a YAML mapping with its ``extends:`` chain resolved.

    The file's own keys win over those of the file it extends; mappings merge key by key.

    Raises:
        ConfigError: The file is missing, broken, not a mapping, extends itself, repeats a key,
            or holds a tag that YAML would have to run code for.
    """
    path = path.absolute()
    if path in _seen:
        chain = " -> ".join(item.name for item in (*_seen, path))
        raise ConfigError([Problem("extends", f"the files extend each other: {chain}", str(path))])
    own = _parse(path)
    parent = own.data.pop("extends", None)
    if parent is None:
        return own
    if not isinstance(parent, str):
        message = f"must be a file name, but got {parent!r}"
        raise ConfigError([Problem("extends", message, own.place(("extends",)))])
    target = path.parent / parent
    if not target.is_file():
        message = f"no file {target}; name a YAML file beside {path.name}"
        raise ConfigError([Problem("extends", message, own.place(("extends",)))])
    base = read_yaml(target, (*_seen, path))
    return Source(merge(base.data, own.data), {**base.where, **own.where}, own.name)


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid on top; a searched setting is replaced as a whole."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict) and "." not in key:
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def with_overrides(source: Source, assignments: Sequence[str]) -> Source:
    """Lay ``key=value`` assignments (``adapter.k=4``) over a source.

    Values are YAML. A setting that is assigned is no longer searched.

    Raises:
        ConfigError: An assignment has no ``=`` or its value is broken YAML; all of them together.
    """
    data, where, problems = source.data, dict(source.where), []
    for text in assignments:
        key, sign, raw = text.partition("=")
        place = f"--set {text}"
        if not sign or not key.strip():
            problems.append(Problem("", "must read key=value, for example adapter.k=4", place))
            continue
        try:
            value = yaml.load(raw, Loader=_Loader)
        except yaml.YAMLError as error:
            problems.append(Problem(key, _yaml_message(error), place))
            continue
        path = _key_path(key.strip())
        nested: Any = value
        for part in reversed(path):
            nested = {part: nested}
        data = merge(data, nested)
        searched = data.get("search")
        if isinstance(searched, dict) and key.strip() in searched:
            data = {**data, "search": {k: v for k, v in searched.items() if k != key.strip()}}
        where[path] = place
    if problems:
        raise ConfigError(problems)
    return Source(data, where, source.name)


def _key_path(key: str) -> KeyPath:
    # Below `search` the keys are themselves dotted names of settings.
    head, _, rest = key.partition(".")
    return (head, rest) if head == "search" and rest else tuple(key.split("."))


def _parse(path: Path) -> Source:
    if path.is_dir():
        raise ConfigError([Problem("", "is a folder; name a YAML file", str(path))])
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError([Problem("", f"cannot be read: {why}", str(path))]) from None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        where, problems = _locate(node, path)  # before construction, which unfolds `<<`
        data = loader.construct_document(node) if node else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError([Problem("", _yaml_message(error), place)]) from None
    if not isinstance(data, dict):
        message = f"must be a mapping of settings, but got {type(data).__name__}"
        raise ConfigError([Problem("", message, str(path))])
    if problems:
        raise ConfigError(problems)
    return Source(data, where, str(path))


def _locate(root: yaml.Node | None, file: Path) -> tuple[dict[KeyPath, str], list[Problem]]:
    where: dict[KeyPath, str] = {}
    problems: list[Problem] = []
    seen: set[int] = set()  # an alias is a node met before: visited once, or a few lines explode

    def visit(node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]) -> None:
        if node in above:
            place = f"{file}:{node.start_mark.line + 1}"
            problems.append(Problem(".".join(path), "contains itself through an alias", place))
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*path, str(key.value))
                place = f"{file}:{key.start_mark.line + 1}"
                if inner in where and key.value != "<<":
                    message = f"written twice (first at line {where[inner].rpartition(':')[2]})"
                    problems.append(Problem(".".join(inner), message, place))
                where[inner] = place
                visit(value, inner, (*above, node))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                where[(*path, str(index))] = f"{file}:{value.start_mark.line + 1}"
                visit(value, (*path, str(index)), (*above, node))

    if root is not None:
        visit(root, (), ())
    return where, problems


def _yaml_message(error: yaml.YAMLError) -> str:
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    if "could not determine a constructor" in problem:
        return f"{problem}; only plain values are read here, never code"
    context, mark = getattr(error, "context", None), getattr(error, "problem_mark", None)
    if not context:
        return f"broken YAML: {problem}"
    begun = getattr(error, "context_mark", None)
    elsewhere = begun and (mark is None or begun.line != mark.line)
    where = f", begun in line {begun.line + 1}" if begun and elsewhere else ""
    return f"broken YAML: {problem} ({context}{where})"
