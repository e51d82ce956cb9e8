"""HTML from templates: whatever a template is given is text, unless a template made it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .figures.panel import all_keys, figure_json
from .figures.style import DASH_LENGTHS, SHAPES
from .tables.table import order_of

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_HERE = Path(__file__).parent

TEMPLATES = _HERE / "templates"


def render(template: str, folder: Path = TEMPLATES, **context: Any) -> str:
    """Return a template filled in.

    Args:
        template: The name of its file.
        folder: Where it lies; it may extend and import the templates of this room from anywhere.
        **context: What it is given: text, numbers, tables, panels.
    """
    return _environment(folder).get_template(template).render(context)


def prose(text: str) -> Markup:
    """Return Markdown of emphasis, code and escapes alone as HTML."""
    from markupsafe import Markup, escape

    return Markup(_MARKUP.sub(_element, str(escape(text))))


_MARKUP = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|\\(?P<escaped>&[a-z#0-9]+;|[!-/:-@\[-`{-~])"
    r"|(?<![\w*\\])\*(?P<emphasis>(?!\s)(?:\\.|[^*\\])+)\*(?![\w*])"
)


def _element(match: re.Match[str]) -> str:
    if match["code"]:
        return f"<code>{match['code']}</code>"
    return match["escaped"] or f"<em>{_MARKUP.sub(_element, match['emphasis'])}</em>"


def slug(text: str) -> str:
    """Return a heading as the name of its place on the page."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"


@cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"prose": prose, "slug": slug, "figure_json": figure_json}
    made.globals |= {"asset": _asset, "order_of": order_of, "all_keys": all_keys}
    made.globals |= {"SHAPES": SHAPES, "DASH_LENGTHS": DASH_LENGTHS}
    return made


@cache
def _asset(name: str) -> Markup:
    """Return a file of ours that goes into every page as it is: style, script, plotly."""
    from markupsafe import Markup

    return Markup((_HERE / "assets" / name).read_text(encoding="utf-8"))
