from __future__ import annotations

from pathlib import Path

from lora2_search.analysis.comparison import analyse
from lora2_search.analysis.evidence import Evidence, flag_counts, flag_names
from lora2_search.analysis.records import read_suite
from lora2_search.report.pages.markdown import tasks_report
from lora2_search.report.tables.examples import rank_table
from lora2_search.report.tables.suite import arm_table
from lora2_search.report.words.health import health_lines
from lora2_search.store.record import Flag
from tests.support.suites import draws, record, suite, write_suite

GRADIENT = Flag(name="gradient", detail="it leapt at step 3", setting="training.lr")
MEMORY = Flag(name="memory", detail="9 of 10 MiB", setting="training.batch_size")
RATES = {"base": 0.8, "no-regularisation": 0.7, "random-allocation": 0.7, "head-only": 0.6}


def flagged_suite(folder: Path) -> Path:
    special = {
        ("base", 0): {"flags": [GRADIENT]},
        ("base", 2): {"flags": [GRADIENT, MEMORY]},
        ("head-only", 1): {"status": "failed", "error": "Diverged: x", "flags": [MEMORY]},
        **{("head-only", seed): {"rank_pattern": {}} for seed in (0, 2)},
    }
    return write_suite(folder, suite(seeds=3), draws(RATES, examples=40), special)


def test_flags_are_named_for_a_run_and_counted_over_runs() -> None:
    config = suite()
    one, two = record(config, flags=[GRADIENT]), record(config, flags=[GRADIENT, MEMORY])
    assert flag_names(two) == "gradient, memory"
    assert flag_names(None) == flag_names(record(config)) == ""
    assert flag_counts([one, two, record(config)]) == "gradient 2, memory 1"


def test_an_arm_s_flags_are_told_with_their_seeds_failed_runs_too(tmp_path: Path) -> None:
    lines = health_lines(read_suite(flagged_suite(tmp_path)))
    assert lines == [
        "base: gradient in 2 of 3 runs (seed 0, 2). With seed 0 it leapt at step 3. "
        "The setting to turn: `training.lr`.",
        "base: memory in 1 of 3 runs (seed 2). With seed 2 9 of 10 MiB. "
        "The setting to turn: `training.batch_size`.",
        "head-only: memory in 1 of 3 runs (seed 1). With seed 1 9 of 10 MiB. "
        "The setting to turn: `training.batch_size`.",
    ]


def test_a_suite_s_report_shows_flags_and_kept_ranks(tmp_path: Path) -> None:
    analysis = analyse(read_suite(flagged_suite(tmp_path)))
    text = tasks_report({"": Evidence(analysis)})
    assert "## Health flags\n\n- base: gradient in 2 of 3 runs" in text
    assert [row["flags"] for row in arm_table(analysis).texts] == [
        "gradient 2, memory 1",
        "–",
        "–",
        "memory 1",
    ]
    ranks = text.partition("## Kept ranks")[2].partition("\n## ")[0]
    assert "base:\n\n| block | query | key | value |" in ranks.replace("attention.self.", "")
    assert "| 1 | 3.0 | 4.0 | 5.0 |" in ranks
    assert "head-only:" not in ranks


def test_a_suite_without_flags_says_nothing_of_health(tmp_path: Path) -> None:
    write_suite(tmp_path, suite(seeds=2), draws(RATES, examples=40))
    assert "Health" not in tasks_report({"": Evidence(analyse(read_suite(tmp_path)))})


def test_kept_ranks_are_whole_for_a_run_and_means_over_several() -> None:
    config = suite()
    one = record(config, rank_pattern={"a.0.query": 3, "a.1.query": 0, "a.1.out": 2})
    two = record(config, rank_pattern={"a.0.query": 4, "a.1.query": 2, "a.1.out": 2})
    assert rank_table([one]).texts == [
        {"block": "0", "query": "3", "out": "–"},
        {"block": "1", "query": "0", "out": "2"},
    ]
    assert rank_table([one, two]).texts[0] == {"block": "0", "query": "3.5", "out": "–"}
    assert not rank_table([record(config, rank_pattern={})])
