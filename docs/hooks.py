"""What mkdocs needs beside mkdocs.yml: pages from outside docs/, and links that lead somewhere."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Pages of the site that are files outside docs/, by their path in the repository.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "ablations/README.md": "suites.md",
}
FACE = re.compile(r"^::: (lora2_search\.\w+)$", re.MULTILINE)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside docs/."""
    from mkdocs.structure.files import File

    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """List what a face shows, and lead links to pages of the site."""
    served = {file.src_uri for file in files if file.inclusion.is_included()}
    return rewritten(FACE.sub(listed, markdown), page.file.src_uri, served)


def listed(match: re.Match[str]) -> str:
    """Return the directive of a face with the names that its stub shows, in their order.

    mkdocstrings reads a module without importing it, so it sees nothing behind a lazy face.
    """
    stub = (ROOT / match[1].replace(".", "/") / "__init__").with_suffix(".pyi")
    if not stub.exists():  # a face that loads at once lists its own names in `__all__`
        return match.group()
    names = re.findall(r"^from \.\S+ import \w+ as (\w+)$", stub.read_text("utf-8"), re.MULTILINE)
    return f"{match.group()}\n    options:\n      members: [{', '.join(names)}]"


def rewritten(markdown: str, page: str, served: set[str]) -> str:
    """Return a page whose links lead to pages of the site.

    Args:
        markdown: The page as it stands in the repository.
        page: Its path on the site.
        served: The paths of all pages and images on the site.

    A link to a file that is not on the site (a script, an evidence file) becomes its text.
    """
    sources = {target: source for source, target in OUTSIDE.items()}
    here = posixpath.dirname(sources.get(page, f"docs/{page}"))

    def moved(match: re.Match[str]) -> str:
        image, text, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match.group()
        path, hash_, anchor = target.partition("#")
        wanted = posixpath.normpath(posixpath.join(here, path))
        wanted = OUTSIDE.get(wanted, wanted.removeprefix("docs/"))
        if wanted not in served:
            return text
        relative = posixpath.relpath(wanted, posixpath.dirname(page) or ".")
        return f"{image}[{text}]({relative}{hash_}{anchor})"

    return LINK.sub(moved, markdown)
