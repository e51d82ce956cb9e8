"""One self-contained HTML page of a suite: no request leaves it, plotly stands in it once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from ...analysis import Evidence
from ..figures.optuna import Panel
from ..figures.panels import geometry_panels, interaction_panels, suite_panels
from ..tables.text import level, signed
from ..words.verdict import headline
from .document import cards, document, figure, grid, html_table
from .sections import Section, common_sections, overall_sections, task_sections

_SENTENCES = ("changes", "text", "chosen", "flags", "remarks")

_ABOUT_INTERACTIONS = (
    "Mean test score in each cell and its 95 % interval over seeds, averaged over the other "
    "factors. Lines that run side by side: the factors add up. Whether they do is told by the "
    "contrasts above, not by the eye."
)

_ABOUT_GEOMETRY = (
    "Mean over the complete runs of an arm, and the range over its seeds: how far each plane's "
    "factors are from orthogonal, and how much neighbouring planes overlap."
)


def suite_page(evidence: Mapping[str, Evidence]) -> str:
    """Return the page as HTML.

    Args:
        evidence: What it is made from, by task; ``""`` for a suite that names none.
    """
    name = next(iter(evidence.values())).analysis.suite.name
    parts = [f"<h1>Suite {escape(name)}</h1>"]
    for task, item in evidence.items():
        parts.append(_verdict(task, item))
    parts += [_section(part) for part in overall_sections(evidence)]
    for task, item in evidence.items():
        parts += _task(task, item)
    parts += [_section(part) for part in common_sections(evidence)]
    return document(name, parts)


def _verdict(task: str, item: Evidence) -> str:
    named = f"<b>{escape(task)}.</b> " if task else ""
    css_class = "verdict" if item.analysis.gives_verdicts else "note"
    return f"<p class='{css_class}'>{named}{prose(headline(item.analysis))}</p>"


def _task(task: str, item: Evidence) -> list[str]:
    sections = task_sections(item)
    parts = [f"<h1 class='task'>{escape(task)}</h1>"] if task else []
    parts += [_cards(item)]
    parts += [_section(part) for part in sections if not part.title]
    effects, *others = suite_panels(item)
    parts.append(figure(effects))
    parts.append(_grid("Interactions", _ABOUT_INTERACTIONS, interaction_panels(item)))
    # Kept ranks are drawn here, not written.
    tables = [part for part in sections if part.title not in ("", "Kept ranks")]
    numbers = [part.title for part in tables].index("Arms") + 1
    parts += [_section(part) for part in tables[:numbers]]
    parts += [figure(panel) for panel in others]
    parts.append(_grid("Planes through training", _ABOUT_GEOMETRY, geometry_panels(item)))
    return parts + [_section(part) for part in tables[numbers:]]


def _cards(item: Evidence) -> str:
    """The base beside head-only: whether there is anything to tell."""
    analysis = item.analysis
    metric, arms = analysis.suite.metric, {arm.name: arm for arm in analysis.arms}
    base = next(iter(arms.values()))
    seeds = len(analysis.suite.seeds)
    shown = [(level(base.mean, metric), f"base, mean test {analysis.suite.shown_metric}")]
    if analysis.floor is not None:
        floor = arms.get(str(analysis.suite.floor))
        shown.append((level(floor.mean if floor else None, metric), "head-only"))
        shown.append((signed(analysis.floor.paired.estimate, metric), "base − head-only"))
    done = sum(len(arm.scores) for arm in analysis.arms)
    shown.append((f"{done} of {len(arms) * seeds}", f"runs that count, {seeds} seeds an arm"))
    return cards(shown)


def _grid(title: str, text: str, panels: Sequence[Panel]) -> str:
    return grid(title, text, panels, 340) if panels else ""


def _section(section: Section) -> str:
    html = f"<h2>{escape(section.title)}</h2>" if section.title else ""
    html += "".join(f"<p>{prose(text)}</p>" for text in section.text)
    if section.lines:
        html += "<ul>" + "".join(f"<li>{prose(line)}</li>" for line in section.lines) + "</ul>"
    for heading, rows in section.tables:
        html += f"<h3>{escape(heading)}</h3>" if heading else ""
        html += html_table(rows, sentences=_SENTENCES)
    if section.code:
        lines = section.code.splitlines()
        html += f"<pre><code>{escape(chr(10).join(lines[1:-1]))}</code></pre>"
    return html


def prose(text: str) -> str:
    """Return a sentence of Markdown (emphasis and code alone) as HTML."""
    safe = escape(text, quote=False)
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    return re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])", r"<em>\1</em>", safe)
