"""The report of a suite of language models: what is learnt and written, and no classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lora2_search.analysis.evidence import gather
from lora2_search.config.suite.schema import Suite
from lora2_search.report.pages.sections import Section, task_sections
from lora2_search.report.pages.suite import suite_page
from tests.support.suites import suite, write_run

ARMS = {"lora": {"method": "lora"}, "no-training": {"method": "no-training"}}
EXAMPLE = "Review: dull\nSentiment:⟦ negative⟧"


def written(folder: Path, texts: bool = True) -> Path:
    """Write a suite on ``reviews`` in which LoRA gets the first examples wrong."""
    plan: Suite = suite(
        task="reviews", arms=ARMS, floor="no-training", seeds=3, comparisons=[["lora", "base"]]
    )
    for run in plan.runs(folder):
        labels = np.ones(30)
        right = np.arange(30) >= {"base": 0, "lora": 6, "no-training": 20}[run.arm]
        write_run(
            run.folder,
            run.config,
            labels=labels,
            predictions=right * 1.0,
            metric="exact_match",
            majority=None,
            example=EXAMPLE,
        )
        path = run.folder / "predictions.parquet"
        table = pd.read_parquet(path)
        if texts:
            number = table["example"].astype(str)
            table["prompt"], table["answer"] = "prompt " + number, " positive"
            table["generated"] = f"<{run.arm} says> " + number
        table.to_parquet(path, index=False)
    plan.write(folder)
    return folder


def sections_of(folder: Path) -> dict[str, Section]:
    sections = task_sections(gather(folder)[""])
    return {section.title: section for section in sections}


def test_a_suite_of_a_language_model_shows_its_mask_and_answers_and_no_classes(
    tmp_path: Path,
) -> None:
    sections = sections_of(written(tmp_path))
    assert "Mistakes" not in sections
    learnt = sections["What is learnt, and written"]
    assert learnt.code == EXAMPLE
    assert [heading for heading, _ in learnt.tables] == ["base, seed 0:", "no-training, seed 0:"]
    rows = learnt.tables[1][1].rows
    assert len(rows) == 5 and rows[0]["generated"] == "<no-training says> 0"
    assert {row["right"] for row in rows} == {"wrong"}
    ((_, table),) = sections["Where two arms differ most"].tables
    assert [column.heading for column in table.columns if "wrote" in column.key] == [
        "lora wrote (seed 0)",
        "base wrote (seed 0)",
    ]
    assert "label" not in [column.key for column in table.columns]
    for row in table.rows:
        assert row["ours wrote"] == f"<lora says> {row['example']}"
        assert row["theirs wrote"] == f"<base says> {row['example']}"
    page = suite_page(gather(tmp_path))
    assert "&lt;lora says&gt; 0" in page and "<lora says>" not in page
    assert "taken for" not in page


def test_without_texts_the_report_has_what_is_there(tmp_path: Path) -> None:
    sections = sections_of(written(tmp_path, texts=False))
    assert sections["What is learnt, and written"].tables == ()
    ((_, table),) = sections["Where two arms differ most"].tables
    assert not [column for column in table.columns if "wrote" in column.key]
