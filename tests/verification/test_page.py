from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora2_search.errors import UserError
from lora2_search.verification import run as module
from lora2_search.verification.measuring import measure
from lora2_search.verification.plan import CHECKS, Plan, make_plan
from lora2_search.verification.run import verify
from tests.verification.conftest import settings

# A whole verification of a tiny model: a minute and more.
pytestmark = pytest.mark.slow


def in_this_process(plan: Plan, folder: Path, workers: int, say: object) -> None:
    for part in plan.parts():
        part.write(folder, measure(plan, part))


@pytest.fixture(scope="module")
def measured(
    tiny_bert: Path, reviews_csv: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[module.Verification]:
    """Measured once, in a home of its own: every test of this file only looks."""
    plan = make_plan(**settings(tiny_bert, reviews_csv), quick=True)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA2_SEARCH_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(module, "measure_parts", in_this_process)
        yield verify(plan, tmp_path_factory.mktemp("verification") / "out")


def test_every_check_has_rows_with_numbers_and_both_sentences(
    measured: module.Verification,
) -> None:
    assert {row.check for row in measured.rows} == set(CHECKS)
    for row in measured.rows:
        assert row.numbers and row.measured and row.verdict and row.says, row
    kept = json.loads(measured.table.read_text())
    assert [row["measured"] for row in kept] == [row.measured for row in measured.rows]
    table = (measured.folder / "verification.md").read_text()
    assert all(f"**{row.claim}: {row.verdict}.** {row.says}" in table for row in measured.rows)
    verdicts = {row.claim: row.verdict for row in measured.rows}
    assert (
        verdicts["With k = r = 1, training starts at ΔW = 0 with the pretrained outputs"] == "holds"
    )
    assert verdicts["The merged weight W0 + ΔW computes what the adapter computes"] == "holds"
    assert verdicts["Pruning costs no performance"] == "too few runs to tell"
    assert all(name.partition("/")[0] in CHECKS for name in measured.numbers())


def test_the_page_holds_table_and_figures_and_asks_nobody(measured: module.Verification) -> None:
    html = measured.page.read_text()
    assert "default-src 'none'" in html
    assert html.count('class="plot"') == 7
    for row in measured.rows:
        assert row.verdict in html
    assert "too few seeds and steps" in html


def test_a_folder_of_another_verification_is_refused(
    measured: module.Verification, plan: Plan
) -> None:
    other = make_plan(
        model=plan.config.model.name_or_path,
        data=plan.config.data.path,
        overrides=("data.text=[review]", "data.label=verdict"),
    )
    with pytest.raises(UserError, match="its settings differ; name another folder with out"):
        verify(other, measured.folder)
