from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from lora2_search.analysis.evidence import gather
from lora2_search.analysis.published import Published, offer_published, published_on, read_published
from lora2_search.config.space.schema import Space
from lora2_search.config.stored import stored_plan
from lora2_search.errors import UserError
from lora2_search.report.tables.latex import (
    arms_table,
    effects_table,
    escaped,
    latex_table,
    mean_and_reach,
)
from lora2_search.report.tables.search_space import search_space_table, space_rows
from lora2_search.report.tables.table import Table
from tests.support.designs import RATES
from tests.support.suites import draws, suite, write_suite


def tables(folder: Path, rates: dict[str, float], **changes: object) -> tuple[str, str]:
    evidence = gather(write_suite(folder, suite(**changes), draws(rates)))[""]
    return arms_table(evidence.analysis, evidence.published), effects_table(evidence.analysis)


def bold(table: str) -> list[str]:
    rows = [line for line in table.splitlines() if r"\textbf" in line]
    return [row.partition(" & ")[0] for row in rows]


def test_bold_is_what_the_corrected_test_says_and_nothing_else(tmp_path: Path) -> None:
    arms, effects = tables(tmp_path, RATES, seeds=8)
    assert bold(arms) == []  # The arm that differs is worse than the base.
    assert bold(effects) == ["no-regularisation $-$ base"]


def test_an_arm_that_beats_the_base_by_test_is_bold(tmp_path: Path) -> None:
    arms, _ = tables(tmp_path, {**RATES, "random-allocation": 0.9}, seeds=8)
    assert bold(arms) == ["random-allocation"]


def test_nothing_is_bold_where_the_suite_was_not_trained(tmp_path: Path) -> None:
    arms, effects = tables(tmp_path, {**RATES, "base": 0.5, "random-allocation": 0.9}, seeds=8)
    assert bold(arms) == bold(effects) == []


def test_tables_are_booktabs_with_as_many_cells_as_columns(tmp_path: Path) -> None:
    for table in tables(tmp_path, RATES):
        columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", table)
        assert columns is not None
        body = table.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) > 1
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(columns[1])}
        assert r"\midrule" in table and "|" not in columns[1]


@pytest.mark.parametrize(
    "text, shown",
    [
        ("a_b & 5 %", r"a\_b \& 5 \%"),
        ("-1.5 to +2", "$-$1.5 to +2"),
        ("no-pruning − base", "no-pruning $-$ base"),
        ("k² × γ ± {x}", r"k\textsuperscript{2} $\times$ $\gamma$ $\pm$ \{x\}"),
        ("\\p < 0.01", r"\textbackslash{}p $<$ 0.01"),
    ],
)
def test_plain_text_is_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_mean_and_reach_is_the_t_interval_of_scipy() -> None:
    scores = [0.71, 0.74, 0.69, 0.75, 0.72]
    low, high = stats.t.interval(0.95, 4, np.mean(scores), stats.sem(scores))
    assert mean_and_reach(scores) == pytest.approx((0.722, (high - low) / 2))
    assert mean_and_reach([0.5]) == (0.5, None) and mean_and_reach([]) is None


def test_an_empty_table_is_still_one() -> None:
    assert "nothing to show" in latex_table(Table(()), "none", "tab:none")


def test_published_numbers_are_a_column_where_the_user_filled_them_in(tmp_path: Path) -> None:
    folder = write_suite(tmp_path, suite(seeds=2), draws(RATES))
    offer_published(folder, suite().arms, {"": "accuracy"})
    lines = (folder / "published.csv").read_text().splitlines()
    assert lines[:2] == ["arm,metric,published,source", "base,accuracy,,"]
    assert "published" not in arms_table(
        gather(folder)[""].analysis, published_on(read_published(folder, suite().arms, [""]), "")
    )
    (folder / "published.csv").write_text(
        "\n".join([lines[0], "base,accuracy,95.6,Table 2", *lines[2:]])
    )
    offer_published(folder, suite().arms, {"": "accuracy"})  # What the user wrote stays.
    table = arms_table(
        gather(folder)[""].analysis, published_on(read_published(folder, suite().arms, [""]), "")
    )
    assert re.search(r"^base & .* & 95\.6 \\\\$", table, re.M)
    assert re.search(r"^head-only & .* & -- \\\\$", table, re.M)


def test_published_numbers_of_several_tasks_are_told_apart(tmp_path: Path) -> None:
    offer_published(tmp_path, ["base"], {"short": "accuracy", "long": "pearson"})
    lines = (tmp_path / "published.csv").read_text().splitlines()
    head = "task,arm,metric,published,source"
    assert lines == [head, "short,base,accuracy,,", "long,base,pearson,,"]
    filled = [head, ",base,accuracy,90,", "short,base,accuracy,95.6,Table 2"]
    (tmp_path / "published.csv").write_text("\n".join(filled))
    found = read_published(tmp_path, ["base"], ["short", "long"])
    assert published_on(found, "short") == {("base", "accuracy"): Published("95.6", "Table 2")}
    assert published_on(found, "long") == {("base", "accuracy"): Published("90", "")}


@pytest.mark.parametrize(
    "text, problem",
    [
        ("arm,metric\nbase,accuracy\n", "lacks published"),
        ("arm,metric,published\nbase,accuracy,high\n", "line 2: `published` must be a number"),
        ("arm,metric,published\nbase,accuracy,nan\n", "got 'nan'"),
        ("arm,metric,published\nbas,accuracy,91\n", "no arm 'bas'; did you mean \"base\""),
        ("arm,metric,published\nbase,score,91\n", "no metric 'score'; known: accuracy"),
        ("task,arm,metric,published\nrte,base,accuracy,91\n", "no task 'rte'"),
    ],
)
def test_a_wrong_published_file_is_the_users_mistake(
    tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "published.csv").write_text(text)
    with pytest.raises(UserError, match=problem):
        read_published(tmp_path, ["base"], [""])


def test_the_search_space_is_told_as_it_was_written() -> None:
    space = {
        "name": "mine",
        "protocol": "clean",
        "sampler": {"name": "tpe", "seed": 3},
        "search": {
            "training.lr": {"type": "float", "low": 1e-3, "high": 0.02, "log": True},
            "adapter.k": {"type": "categorical", "choices": [4, 8], "when": {"method": ["lora2"]}},
            "adapter.r": {"type": "int", "low": 2, "high": 8, "step": 2},
        },
    }
    read = stored_plan(Space, space)
    rows = space_rows(read).texts
    assert [row["values"] for row in rows] == ["0.001 to 0.02", "4, 8", "2 to 8 in steps of 2"]
    assert [row["scale"] for row in rows] == ["logarithmic", "–", "linear"]
    assert rows[1]["condition"] == "method is lora2"
    assert "20 trials, sampler tpe with seed 3" in search_space_table(read, 20)
