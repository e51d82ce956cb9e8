from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora2_search.analysis.comparison import analyse_tasks
from lora2_search.config.run import RunConfig
from lora2_search.errors import UserError
from lora2_search.report.archive.archive import archive_suite, unpack_archive, write_archive
from lora2_search.report.archive.record import lean, rebuilt, shared, without_shared
from lora2_search.report.archive.state import read_state
from lora2_search.store.files import Damaged
from lora2_search.store.record import Point, RunRecord
from tests.support.designs import (
    STATES,
    crossed_answers,
    crossed_suite,
    in_disrepair,
    write_crossed,
)
from tests.support.suites import record, suite, write_run, write_suite


def numbers(analysis: Any) -> Any:
    """Everything that was computed, without where it was read from and the records themselves."""
    arms = [{**asdict(arm), "records": len(arm.records)} for arm in analysis.arms]
    return repr((arms, analysis.family, analysis.floor, analysis.equivalence))


@pytest.mark.parametrize("state", ["finished", *STATES])
def test_an_archive_gives_the_same_numbers_as_the_suite(tmp_path: Path, state: str) -> None:
    folder = tmp_path / "suite"
    write_crossed(folder) if state == "finished" else in_disrepair(folder, state)
    write_archive(folder, tmp_path / "archive")
    before = analyse_tasks(folder)
    with archive_suite(tmp_path / "archive") as evidence:
        after = {task: item.analysis for task, item in evidence.items()}
    assert list(before) == list(after)
    for task, analysis in before.items():
        assert numbers(analysis) == numbers(after[task])


def test_predictions_that_are_no_whole_numbers_are_kept_exactly(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = generator.normal(size=30)

    plan = suite(task="ratings", seeds=2)
    for run in plan.runs(tmp_path / "suite"):
        noise = generator.normal(size=30).astype(np.float32)
        said = (labels + noise).astype(np.float32).astype(float)
        write_run(run.folder, run.config, labels=labels, predictions=said, metric="pearson")
    plan.write(tmp_path / "suite")
    before = analyse_tasks(tmp_path / "suite")[""]
    write_archive(tmp_path / "suite", tmp_path / "archive")
    with archive_suite(tmp_path / "archive") as evidence:
        assert numbers(before) == numbers(evidence[""].analysis)


def test_an_archive_is_small(tmp_path: Path) -> None:
    plan = suite(seeds=15)
    generator = np.random.default_rng(1)
    write_suite(tmp_path / "suite", plan, lambda arm, seed: generator.random(1000) < 0.75)
    folder = write_archive(tmp_path / "suite", tmp_path / "archive").parent
    kept = ("suite.yaml", "records.jsonl", "predictions.parquet", "examples.json")
    assert sum((folder / name).stat().st_size for name in kept) < 100_000
    assert len(pd.read_parquet(folder / "predictions.parquet")) == 60_000


def test_the_code_in_an_archived_report_recomputes_its_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_crossed(tmp_path / "suite")
    path = write_archive(tmp_path / "suite", tmp_path / "archive")
    code = path.read_text().partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(path.parent)
    scope: dict[str, Any] = {}
    exec(code, scope)
    rows = csv.DictReader((path.parent / "runs.csv").read_text().splitlines())
    for row in rows:
        assert scope["scores"].loc[int(row["seed"]), row["arm"]] == pytest.approx(
            float(row["score"]), abs=1e-12
        )


def test_an_archive_that_is_written_again_keeps_nothing_of_the_older_one(tmp_path: Path) -> None:
    write_crossed(tmp_path / "suite")
    folder = write_archive(tmp_path / "suite", tmp_path / "archive").parent
    before = sorted(folder.rglob("*"))
    for name in ("figures/gone.svg", "tables/gone.tex", "published.csv"):
        (folder / name).write_text("arm,published\n")
    (folder / "mine.md").write_text("kept")
    write_archive(tmp_path / "suite", folder)
    assert sorted(folder.rglob("*")) == sorted([*before, folder / "mine.md"])


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_archive_of_a_suite_that_goes_on_grows_and_is_otherwise_the_same(
    tmp_path: Path,
) -> None:
    folder, plan = tmp_path / "suite", crossed_suite()
    answers = crossed_answers()
    write_suite(folder, plan, lambda arm, seed: answers(arm, seed) if seed < 2 else None)
    archive = write_archive(folder, tmp_path / "archive").parent
    first = _files(archive)
    assert str(read_state(archive)) == "small: 10 of 20 runs"
    assert _files(write_archive(folder, archive).parent) == first
    write_suite(folder, plan, answers)
    write_archive(folder, archive)
    state = read_state(archive)
    assert state is not None and state.complete and str(state) == "small: 20 of 20 runs"
    assert _files(archive) == _files(write_archive(folder, tmp_path / "another").parent)


def test_an_archive_names_the_code_that_made_its_runs(tmp_path: Path) -> None:
    plan = suite(seeds=2)
    for run in plan.runs(tmp_path / "suite"):
        code = {"commit": "abc" if run.config.seed else "abd", "code_hash": "0f"}
        write_run(run.folder, run.config, np.ones(10, dtype=bool), dirty=False, **code)
    plan.write(tmp_path / "suite")
    archive = write_archive(tmp_path / "suite", tmp_path / "archive").parent
    state = read_state(archive)
    assert state is not None
    assert [(m["commit"], m["code_hash"]) for m in state.made_by] == [("abc", "0f"), ("abd", "0f")]


def test_predictions_of_a_run_whose_record_was_not_written_yet_are_left_aside(
    tmp_path: Path,
) -> None:
    # As whoever is stopped leaves them, who writes an older archive anew: the records come last.
    folder, answers = tmp_path / "suite", crossed_answers()
    plan = crossed_suite()
    write_suite(folder, plan, lambda arm, seed: answers(arm, seed) if seed < 3 else None)
    archive = write_archive(folder, tmp_path / "archive").parent
    with archive_suite(archive) as evidence:
        before = numbers(evidence[""].analysis)
    write_suite(folder, plan, answers)
    write_archive(folder, tmp_path / "later")
    (tmp_path / "later" / "predictions.parquet").replace(archive / "predictions.parquet")
    with archive_suite(archive) as evidence:
        assert numbers(evidence[""].analysis) == before


def _first_run(text: str, name: str) -> str:
    return text.replace('{"run":"runs/base-seed0"', '{"run":' + json.dumps(name))


DAMAGES: dict[str, tuple[str, Callable[[str], str], str]] = {
    "nothing": ("records.jsonl", lambda text: "", "line 1 is not a record of a run"),
    "cut short": ("records.jsonl", lambda text: text[:-40], "line 21 is not a record of a run"),
    "a list": ("records.jsonl", lambda text: text + "[]\n", "line 22 is not a record of a run"),
    "no such field": (
        "records.jsonl",
        lambda text: text + '{"run":"runs/x","own":{},"lacks":[["no","such"]]}\n',
        "line 22 is not a record of a run",
    ),
    "a state of later versions": (
        "records.jsonl",
        lambda text: text + '{"run":"runs/x","own":{"status":"paused"}}\n',
        "line 22 is not a record of a run",
    ),
    "no parquet": ("predictions.parquet", lambda text: "PAR1", "it holds no predictions"),
    **{
        f"a run in {name}": (
            "records.jsonl",
            lambda text, name=name: _first_run(text, name),
            "line 2 is not a record of a run",
        )
        for name in ("../../gone", "/gone", "runs/..", "runs/../../../gone", "runs", "", "x/y")
    },
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_archive_is_refused_and_writes_nowhere(tmp_path: Path, damage: str) -> None:
    name, change, message = DAMAGES[damage]
    write_crossed(tmp_path / "suite")
    archive = write_archive(tmp_path / "suite", tmp_path / "archive").parent
    text = (archive / name).read_text(errors="replace")
    # Beside the test's folder, where `../../gone` leads, other tests may hold a folder so named.
    before = set(tmp_path.parent.rglob("gone"))
    assert change(text) != text
    (archive / name).write_text(change(text))
    with pytest.raises(UserError, match=f"{name}: {message}; the archive is damaged"):
        with unpack_archive(archive):
            pass
    assert set(tmp_path.parent.rglob("gone")) == before and not Path("/gone").exists()


def test_an_archive_without_predictions_is_refused(tmp_path: Path) -> None:
    write_crossed(tmp_path / "suite")
    archive = write_archive(tmp_path / "suite", tmp_path / "archive").parent
    (archive / "predictions.parquet").unlink()
    with pytest.raises(UserError, match="predictions.parquet: it holds no predictions"):
        with archive_suite(archive):
            pass


_COUNTS = {"completed": 1, "failed": 0, "expected": 2}
_STATE = {"suite": "s", "runs": _COUNTS, "tuning_runs": _COUNTS, "made_by": []}
WRONG_JSON = {
    "empty": "",
    "half": '{"": {"4": "a te',
    "a list": "[]",
    "a number": "3",
    "null": "null",
    "too deep": "[" * 50_000,
}
WRONG_EXAMPLES = WRONG_JSON | {
    "a task is a list": '{"": []}',
    "a task is a text": '{"": "fine"}',
    "a task is null": '{"": null}',
    "a text is a list": '{"": {"3": ["fine"]}}',
    "a number is a word": '{"": {"three": "fine"}}',
    "a number is no digit of ours": '{"": {"²": "fine"}}',
}
WRONG_STATES = WRONG_JSON | {
    "runs are a list": json.dumps(_STATE | {"runs": []}),
    "runs are empty": json.dumps(_STATE | {"runs": {}}),
    "a count is a text": json.dumps(_STATE | {"runs": _COUNTS | {"failed": "0"}}),
    "a count is null": json.dumps(_STATE | {"tuning_runs": _COUNTS | {"failed": None}}),
    "a count is missing": json.dumps(_STATE | {"runs": {"completed": 1, "failed": 0}}),
    "made by a number": json.dumps(_STATE | {"made_by": 3}),
    "made by numbers": json.dumps(_STATE | {"made_by": [3]}),
    "no suite": json.dumps({key: value for key, value in _STATE.items() if key != "suite"}),
}


@pytest.mark.parametrize("use", [archive_suite, unpack_archive])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        *(("examples.json", how) for how in WRONG_EXAMPLES),
        *(("archive.json", how) for how in WRONG_STATES),
    ],
)
def test_what_lies_beside_the_records_is_named_when_it_is_damaged(
    name: str, how: str, use: Any, a_whole_archive: Path, tmp_path: Path
) -> None:
    archive = shutil.copytree(a_whole_archive, tmp_path / "archive")
    wrong = WRONG_EXAMPLES if name == "examples.json" else WRONG_STATES
    (archive / name).write_text(wrong[how])
    with pytest.raises(Damaged, match="is broken: .*; .*from a copy") as caught, use(archive):
        pass
    assert caught.value.path == archive / name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("suite.yaml", "[1, 2]"),
        ("suite.yaml", "name: mine"),
        ("suite.yaml", "name: 'open"),
        ("published.csv", "arm"),
        ("published.csv", "arm,metric,value,source\nbase,accuracy,high,me\n"),
    ],
)
def test_what_was_laid_out_elsewhere_to_be_read_is_named_where_it_is(
    name: str, text: str, a_whole_archive: Path, tmp_path: Path
) -> None:
    archive = shutil.copytree(a_whole_archive, tmp_path / "archive")
    (archive / name).write_text(text)
    with pytest.raises(UserError) as caught, archive_suite(archive):
        pass
    assert str(archive / name) in str(caught.value)


@pytest.fixture(scope="module")
def a_whole_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    write_crossed(root / "suite")
    return write_archive(root / "suite", root / "archive").parent


@pytest.mark.parametrize("name", ["thesis.tex", "examples.json", "suite.yaml", ".git"])
def test_an_archive_is_not_written_among_files_that_are_not_its_own(
    name: str, tmp_path: Path
) -> None:
    write_crossed(tmp_path / "suite")
    mine = tmp_path / "mine"
    mine.mkdir()
    for file in {name, "thesis.tex"} if name == "examples.json" else {name}:
        (mine / file).write_text("mine")
    before = _files(mine)
    with pytest.raises(UserError, match=f"{mine} is not an archive, and not empty .*{name}"):
        write_archive(tmp_path / "suite", mine)
    assert _files(mine) == before


@pytest.mark.parametrize("left", [(), ("examples.json",), ("examples.json", "suite.yaml")])
def test_an_archive_that_was_only_begun_is_written_whole(
    left: tuple[str, ...], a_whole_archive: Path, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    for name in left:
        shutil.copyfile(a_whole_archive / name, begun / name)
    (begun / ".suite.yaml.123.tmp").write_text("half")
    write_crossed(tmp_path / "suite")
    write_archive(tmp_path / "suite", begun)
    assert (begun / "report.md").read_text() == (a_whole_archive / "report.md").read_text()


@pytest.mark.parametrize("lost", ["records.jsonl", "suite.yaml", "archive.json", "examples.json"])
def test_an_archive_that_lost_a_file_is_written_again(
    lost: str, a_whole_archive: Path, tmp_path: Path
) -> None:
    archive = shutil.copytree(a_whole_archive, tmp_path / "archive")
    (archive / lost).unlink()
    write_crossed(tmp_path / "suite")
    write_archive(tmp_path / "suite", archive)
    assert _files(archive) == _files(a_whole_archive)


def test_an_archive_of_an_earlier_version_has_no_state(tmp_path: Path) -> None:
    write_crossed(tmp_path / "suite")
    archive = write_archive(tmp_path / "suite", tmp_path / "archive").parent
    (archive / "archive.json").unlink()
    assert read_state(archive) is None
    with archive_suite(archive):
        pass


def test_an_archive_never_overwrites_the_suite(tmp_path: Path) -> None:
    write_crossed(tmp_path)
    with pytest.raises(UserError, match="must not go into"):
        write_archive(tmp_path, tmp_path / ".." / tmp_path.name)
    with pytest.raises(UserError, match="is not an archive"), archive_suite(tmp_path):
        pass


FIRST = record(RunConfig(task="sentiment"))
FIELDS = st.dictionaries(st.sampled_from(["a", "b", "c/d", "e.f"]), st.floats(), max_size=4)


@settings(max_examples=30, deadline=None)
@given(FIELDS, FIELDS, st.sampled_from(["completed", "failed"]))
def test_a_record_comes_back_as_it_was_but_for_its_history(
    scores: dict[str, float], others: dict[str, float], status: Any
) -> None:
    first = FIRST.model_copy(update={"scores": others})
    second = FIRST.model_copy(update={"scores": scores, "status": status, "fingerprint": "x"})
    common = shared([lean(first), lean(second)])
    for one in (first, second):
        back = rebuilt(without_shared(lean(one), common), common)
        assert _without_history(back) == _without_history(one)


def _without_history(one: RunRecord) -> str:
    return json.dumps(one.model_dump(exclude={"history"}), sort_keys=True)


def test_of_a_history_the_evaluations_are_kept() -> None:
    points = [
        Point(step=1, time_ms=5, metrics={"train/loss": 0.7}),
        Point(step=2, time_ms=9, metrics={"train/loss": 0.6, "validation/accuracy": 1 / 3}),
        Point(step=4, time_ms=12, metrics={"geometry/overlap": 0.25, "rank/kept": 8.0}),
    ]
    told = lean(record(RunConfig(task="sentiment"), history=points))
    back = rebuilt({"own": told}, {})
    assert [(point.step, point.metrics) for point in back.history] == [
        (2, {"validation/accuracy": 0.333333}),
        (4, {"geometry/overlap": 0.25, "rank/kept": 8.0}),
    ]
