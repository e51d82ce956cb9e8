from __future__ import annotations

import runpy
from pathlib import Path

from lora2_search.config.run import RunConfig, setting_names

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_settings_is_that_of_the_code_and_explains_each() -> None:
    script = runpy.run_path(str(DOCS / "settings.py"))
    assert (DOCS / "settings.md").read_text() == script["page"](), "run python docs/settings.py"
    assert [name for name, *_ in script["ALL"]] == setting_names(RunConfig)
    assert all(text for *_, text in script["ALL"])
