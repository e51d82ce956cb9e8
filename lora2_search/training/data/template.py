"""A prompt's template: Jinja text over the columns of a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigError, Problem, first_line, listed
from .wrong import Wrong, no_row

_KEY = "data.template"

# What Python makes of the code that Jinja writes for what it took for a template: two arguments of
# one name, or expressions that are nested too deep.
NOT_COMPILED = (SyntaxError, RecursionError, MemoryError)


@dataclass(frozen=True)
class Template:
    """A template in Jinja's sandbox.

    Attributes:
        compiled: What renders it.
        columns: Those that it reads, in the order in which it names them.
    """

    compiled: Any
    columns: tuple[str, ...]

    def render(self, cells: Mapping[str, str | None]) -> str:
        """Return the prompt of a row; the template sees its own columns and nothing else.

        Raises:
            Wrong: One of its expressions fails.
        """
        try:
            return str(self.compiled.render({name: cells[name] for name in self.columns}))
        except Exception as error:  # whatever the template's own expressions raise
            raise Wrong(f"cannot be rendered: {first_line(error)}", _KEY) from None


def template_of(text: str) -> Template:
    """Return a template from its text.

    Raises:
        ConfigError: It is not Jinja, or reads what no template may.
    """
    from jinja2 import StrictUndefined, TemplateError, meta, nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    try:
        compiled = environment.from_string(text)
        tree = environment.parse(text)
    except (TemplateError, *NOT_COMPILED) as error:
        message = f"not a Jinja template: {first_line(error)}"
        raise ConfigError([Problem(_KEY, message)]) from None
    if reach := forbidden(tree):
        raise ConfigError([Problem(_KEY, reach)])
    read = meta.find_undeclared_variables(tree)
    named = dict.fromkeys(node.name for node in tree.find_all(nodes.Name))
    return Template(compiled, tuple(name for name in named if name in read))


def forbidden(tree: Any) -> str:
    """Return which attribute a parsed template reads that no template may; empty for most.

    Jinja's sandbox refuses what is done with such an attribute, but writes nothing in its place
    where it is only printed: the prompt would be another one, in silence.
    """
    from jinja2 import nodes

    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        name = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", "")
        if isinstance(name, str) and name.startswith("__"):
            return f"line {node.lineno} reads the attribute {name}, which no template may"
    return ""


def filled(text: str, prompt: str) -> str:
    """Return the prompt that a template makes of a new text.

    Args:
        text: The template.
        prompt: What takes the place of its one column; of several, a line for each.

    Raises:
        ConfigError: There are not as many lines as columns, or it cannot be rendered.
    """
    template = template_of(text)
    columns = template.columns
    parts = [prompt] if len(columns) == 1 else prompt.split("\n")
    if len(parts) != len(columns):
        lines = "1 line" if len(parts) == 1 else f"{len(parts)} lines"
        message = (
            f"reads {len(columns)} columns ({listed(columns)}), and the prompt has {lines}; write "
            "a line for each, in this order, or put the rows into a file and use eval"
        )
        raise ConfigError([Problem(_KEY, message)])
    with no_row(_KEY):
        return template.render(dict(zip(columns, parts, strict=True)))
