"""One Markdown report of a suite: the verdict first, then the numbers that it was made from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ...analysis import Evidence
from ..tables.markdown import markdown_table
from ..words.verdict import headline
from .sections import Section, common_sections, overall_sections, task_sections

REPORT_FILE = "report.md"


def tasks_report(
    evidence: Mapping[str, Evidence],
    figures: Mapping[str, Mapping[str, str]] | None = None,
    over_all: Sequence[Section] | None = None,
) -> str:
    """Return the report of a suite as Markdown.

    Args:
        evidence: What it is made from, by task.
        figures: Where figures lie, by task and title, as links from the report.
        over_all: What holds over all tasks, where it has been computed.
    """
    name = next(iter(evidence.values())).analysis.suite.name
    parts = [f"# Suite {name}"]
    for task, item in evidence.items():
        parts.append(f"> {f'**{task}**: ' if task else ''}{headline(item.analysis)}")
    over_all = overall_sections(evidence) if over_all is None else over_all
    parts += _rendered(over_all, "##")
    for task, item in evidence.items():
        depth = "###" if task else "##"
        parts += [f"## Task {task}"] if task else []
        sections = task_sections(item)
        parts += _rendered([part for part in sections if not part.title], depth)
        parts += _images((figures or {}).get(task, {}), depth)
        parts += _rendered([part for part in sections if part.title], depth)
    parts += _rendered(common_sections(evidence), "##")
    return "\n\n".join(parts) + "\n"


def _images(links: Mapping[str, str], depth: str) -> list[str]:
    if not links:
        return []
    return [f"{depth} Figures", *(f"![{title}]({link})" for title, link in links.items())]


def _rendered(sections: Iterable[Section], depth: str) -> list[str]:
    parts: list[str] = []
    for section in sections:
        parts += [f"{depth} {section.title}"] if section.title else []
        parts += section.text
        parts += ["\n".join(f"- {line}" for line in section.lines)] if section.lines else []
        for heading, table in section.tables:
            parts += [heading] if heading else []
            parts.append(markdown_table(table))
        parts += [_fenced(section.code, section.language)] if section.code else []
    return parts


def _fenced(code: str, language: str) -> str:
    """Return a block of code between fences that are longer than any within it."""
    longest = max((len(ticks) for ticks in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"
