"""The documentation's site: `make docs` builds it, these look at what it is built from."""

from __future__ import annotations

import posixpath
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
HOOKS = runpy.run_path(str(ROOT / "docs/hooks.py"))
PAGES = sorted(path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md"))
# A report is reached from docs/results/README.md; the status is for those who work on the project.
OFF_THE_NAV = re.compile(r"docs/(status|results/[\w-]+/report)\.md")


def leaves(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [
        leaf for item in (nav.values() if isinstance(nav, dict) else nav) for leaf in leaves(item)
    ]


def test_the_site_lists_every_page_once() -> None:
    listed = leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    wanted = [str(page) for page in PAGES if not OFF_THE_NAV.fullmatch(str(page))]
    assert len(wanted) > 10
    assert sorted(listed) == sorted(
        [page.removeprefix("docs/") for page in wanted] + list(HOOKS["OUTSIDE"].values())
    )


@pytest.mark.parametrize("page", [*HOOKS["OUTSIDE"], *map(str, PAGES)])
def test_a_link_of_a_page_leads_to_a_file(page: str) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    targets = [match[3].partition("#")[0] for match in HOOKS["LINK"].finditer(text)]
    local = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    missing = [link for link in local if not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing


@pytest.mark.parametrize(
    ("page", "link", "there"),
    [
        ("index.md", "[a](docs/search.md#signals)", "[a](search.md#signals)"),
        ("index.md", "![a](docs/img/a.png)", "![a](img/a.png)"),
        ("index.md", "[a](ablations/start.yaml)", "a"),
        ("index.md", "[a](https://example.org/docs/search.md)", None),
        ("ablation.md", "[a](../ablations/README.md)", "[a](suites.md)"),
        ("ablation.md", "[a](#below)", None),
        ("suites.md", "[a](../docs/ablation.md)", "[a](ablation.md)"),
        ("results/README.md", "[a](../search.md)", "[a](../search.md)"),
        ("results/README.md", "[a](../status.md)", "a"),
    ],
)
def test_links_lead_to_pages_of_the_site(page: str, link: str, there: str | None) -> None:
    served = {"index.md", "search.md", "ablation.md", "suites.md", "img/a.png"}
    assert HOOKS["rewritten"](link, page, served) == (there or link)
    if there:
        for target in re.findall(r"\]\(([^)#]+)", there):
            assert posixpath.normpath(posixpath.join(posixpath.dirname(page), target)) in served


def test_the_names_of_a_lazy_face_are_listed() -> None:
    stats = HOOKS["FACE"].sub(HOOKS["listed"], "# Statistics\n\n::: lora2_search.stats\n")
    assert stats.startswith(
        "# Statistics\n\n::: lora2_search.stats\n    options:\n      members: ["
    )
    assert " tost," in stats
    eager = "::: lora2_search.adapter"
    assert HOOKS["FACE"].sub(HOOKS["listed"], eager) == eager
