"""Every kind of file of ours, damaged in every way: each verb names it, the rest goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from lora2_search.analysis.published import offer_published
from lora2_search.cli.app import app
from lora2_search.cli.commands import doctor
from lora2_search.config.run import RunConfig
from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.schema import load_space
from lora2_search.errors import UserError
from lora2_search.execution.watchdog import pop_failure_marker
from lora2_search.report.archive.archive import write_archive
from lora2_search.search.study import load_study
from lora2_search.store import files as stored
from lora2_search.store.attempt import Attempt
from lora2_search.store.files import Damaged
from lora2_search.store.lock import is_owned, lock_folder
from lora2_search.store.paths import HOME_VARIABLE
from lora2_search.tracking.delivery.cursor import Cursor, Position, cursor_path, load, pending, save
from lora2_search.tracking.spool.observer import ParentInfo, SpoolObserver
from lora2_search.training.events import Report
from lora2_search.training.loop.run import iterate, run
from lora2_search.verification.page.rows import Row, write_rows
from lora2_search.verification.plan import Part
from tests.experiments.test_named import tell
from tests.support.measured import MERGED
from tests.support.studies import write_trials
from tests.support.suites import draws, suite, write_run, write_suite

DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "absent": lambda data: None,
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "garbage": lambda data: bytes(range(256)) * 4,
    "folder": lambda data: None,
}


def damage(path: Path, how: str) -> None:
    content = DAMAGES[how](path.read_bytes())
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)


def settings(model: Path, table: Path) -> RunConfig:
    return RunConfig.model_validate(
        {
            "task": "custom",
            "data": {"path": str(table), "text": ["review"], "label": "verdict"},
            "model": {"name_or_path": str(model)},
            "adapter": {"target_rank": 4},
            "training": {"steps": 6, "evaluations": 3, "batch_size": 8},
        }
    )


def track(folder: Path, config: RunConfig, steps: Iterator[Report]) -> None:
    info = RunInfo("one", "one", config, {}, folder)
    spool = SpoolObserver(folder, ParentInfo(kind="study", name="one", config=config))
    spool.started(info)
    for report in steps:
        spool.reported(info, report)
    spool.ended(info, "COMPLETE", None, "")
    spool.close("COMPLETE")


@pytest.fixture(scope="module")
def whole(
    tiny_bert: Path, reviews_csv: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A home with two runs, two studies, a suite, a verification, and an archive beside them."""
    home = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(home))
        config = settings(tiny_bert, reviews_csv)
        track(home / "runs" / "one", config, iterate(config, home / "runs" / "one"))
        shutil.copytree(home / "runs" / "one", home / "runs" / "other")
        study = home / "studies" / "mine"
        for number in range(3):
            write_run(study / "trials" / f"{number:05d}", config, np.ones(20, bool))
        write_run(study / "reference" / "head-only", config, np.ones(20, bool))
        load_space("quickstart", ["name=mine", "trials=3"]).write(study)
        tell(study, [("COMPLETE", 0.7), ("COMPLETE", 0.9), ("COMPLETE", 0.8)])
        shutil.copytree(study, home / "studies" / "joint", ignore=lambda *_: ["study.db"])
        load_space("quickstart", ["name=joint", "trials=3"]).write(home / "studies" / "joint")
        tell(home / "studies" / "joint", [("COMPLETE", 0.7)] * 3, shared=True)
        plan = suite(name="arms", seeds=2)
        answers = draws(dict.fromkeys(plan.arms, 0.8), examples=40)
        write_suite(home / "suites" / "arms", plan, answers)
        write_archive(home / "suites" / "arms", home / "archive")
        offer_published(home / "suites" / "arms", plan.arms, {"": "accuracy"})
        measured = home / "verifications" / "seen"
        told = {"fingerprint": "f", "checks": ["merge"], "seeds": [0]}
        measured.mkdir(parents=True)
        (measured / "verification.json").write_text(json.dumps(told))
        Part("pruned", 0, ("merge",)).write(measured, MERGED)
        write_rows(measured, [Row("merge", "It merges", "not published", "1e-7", "holds", "")])
        yield home


@pytest.fixture
def home(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = shutil.copytree(whole, tmp_path / "home")
    monkeypatch.setenv(HOME_VARIABLE, str(copy))
    return copy


RUN, STUDY, SUITE, ARCHIVE = "runs/one/", "studies/mine/", "suites/arms/", "archive/"
SEEN, JOINT = "verifications/seen/", "studies/joint/"
LIST, SHOW, REPORT = "runs list", "runs show", "report"
# By file: the verbs that read it, and how each ends.
READ = {
    RUN + "record.json": {LIST: 2, "runs show one": 2, "train --resume one": 2},
    RUN + "adapter/adapter_config.json": {"export one --out OUT": 2},
    RUN + "adapter/adapter_model.safetensors": {"export one --out OUT": 2},
    RUN + "tracking/parent.jsonl": {"runs sync one": 2, "ui one": 2},
    STUDY + "space.yaml": {
        LIST: 2, "runs show mine": 2, "report mine": 2, "tune --resume mine": 2,
        "export mine --out OUT": 2, "train --from-study mine": 2, "ablate --from-study mine": 2,
    },
    STUDY + "study.db": {
        LIST: 2, "runs show mine": 2, "report mine": 2, "export mine --out OUT": 2,
        "train --from-study mine": 2,
    },
    JOINT + "study.journal": {
        LIST: 2, "runs show joint": 2, "report joint": 2, "tune --resume joint": 2,
        "train --from-study joint": 2,
    },
    STUDY + "trials/00001/record.json": {LIST: 0, "runs show mine": 0, "report mine": 0},
    STUDY + "reference/head-only/record.json": {LIST: 0, "runs show mine": 0, "report mine": 0},
    SUITE + "suite.yaml": {
        LIST: 2, "runs show arms": 2, "report arms": 2, "ablate --resume arms": 2,
    },
    SUITE + "runs/base-seed0/record.json": {LIST: 0, "runs show arms": 0, "report arms": 0},
    SUITE + "runs/base-seed0/predictions.parquet": {
        "runs show arms": 0, "report arms": 0,
    },
    SUITE + "published.csv": {"report arms": 2},
    ARCHIVE + "records.jsonl": {"report HOME/archive": 2},
    ARCHIVE + "predictions.parquet": {"report HOME/archive": 2},
    ARCHIVE + "suite.yaml": {"report HOME/archive": 2},
    ARCHIVE + "examples.json": {"report HOME/archive": 2},
    SEEN + "verification.json": {LIST: 2, "runs show seen": 2},
    SEEN + "parts/pruned-seed0.json": {LIST: 0, "runs show seen": 0},
    SEEN + "rows.json": {LIST: 2, "runs show seen": 2},
}  # fmt: skip
# What is not there was never made, or is made anew: nothing to say.
NOT_MISSED = {
    STUDY + "reference/head-only/record.json",
    SUITE + "runs/base-seed0/record.json",
    SUITE + "published.csv",
    ARCHIVE + "examples.json",
    SEEN + "parts/pruned-seed0.json",
    SEEN + "rows.json",
    RUN + "tracking/parent.jsonl",
}
# Half of it is a whole one with less in it.
STILL_WHOLE = {SUITE + "published.csv", ARCHIVE + "examples.json"}
CASES = [
    (file, how, verb)
    for file, verbs in READ.items()
    for how in DAMAGES
    for verb in verbs
    if not (how == "absent" and file in NOT_MISSED)
    and not (how == "half" and file in STILL_WHOLE)
    # All that it reads stands in the first line, so it serves, until Ctrl-C.
    and not (how == "half" and verb == "ui one")
]


def call(verb: str, home: Path, tmp_path: Path) -> Result:
    words = verb.replace("OUT", str(tmp_path / "out")).replace("HOME", str(home)).split()
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize(("file", "how", "verb"), CASES)
def test_a_damaged_file_is_named_and_the_rest_is_told(
    file: str, how: str, verb: str, home: Path, tmp_path: Path
) -> None:
    damage(home / file, how)
    result = call(verb, home, tmp_path)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == READ[file][verb], result.output
    assert str(home / file) in result.stderr or Path(file).name in result.stderr, result.output
    if verb == LIST:
        for name in ("one", "other", "mine", "joint", "arms", "seen"):
            assert f"\n{name} " in result.stdout


@pytest.mark.parametrize("how", DAMAGES)
def test_a_finished_trial_with_a_broken_record_stays_in_every_count(how: str, home: Path) -> None:
    path = home / STUDY / "trials/00001/record.json"
    damage(path, how)
    rows = json.loads(CliRunner().invoke(app, ["runs", "list", "--json"]).stdout)
    (row,) = [row for row in rows if row["name"] == "mine"]
    assert (row["runs"], row["best"], row["score"]) == ("3 completed", "trial 1", 0.9)
    told = json.loads(CliRunner().invoke(app, ["runs", "show", "mine", "--json"]).stdout)["runs"]
    (lost,) = [row for row in told if row["run"] == "trial 1"]
    assert (lost["state"], lost["validation"]) == ("completed", 0.9)
    assert str(path) in lost["error"]


@pytest.mark.parametrize("how", [how for how in DAMAGES if how != "absent"])
def test_a_suite_counts_a_run_with_a_broken_record_as_damaged(how: str, home: Path) -> None:
    damage(home / SUITE / "runs/base-seed0/record.json", how)
    rows = json.loads(CliRunner().invoke(app, ["runs", "list", "--json"]).stdout)
    (row,) = [row for row in rows if row["name"] == "arms"]
    assert (row["runs"], row["state"]) == ("7 completed, 1 damaged", "stopped")
    assert row["go on with"] == "lora2-search ablate --resume arms"


@pytest.mark.parametrize("file", list(READ))
def test_the_doctor_names_what_is_damaged(file: str, home: Path) -> None:
    (before,) = doctor.stored()
    assert before.state == "ok"
    damage(home / file, "garbage")
    found = [check.message for check in doctor.stored() if check.state == "fail"]
    looked_into = not file.startswith((ARCHIVE, RUN + "adapter", SUITE + "published"))
    assert any(Path(file).name in message for message in found) == looked_into


SPOOLS = [RUN + "tracking/parent.jsonl", RUN + "tracking/runs/one.jsonl"]


@pytest.mark.parametrize("how", [how for how in DAMAGES if how != "absent"])
@pytest.mark.parametrize("file", SPOOLS)
def test_a_damaged_spool_is_never_all_delivered(file: str, how: str, home: Path) -> None:
    uri = "sqlite:///nowhere"
    assert pending(home / "runs" / "one", uri).damaged == []
    damage(home / file, how)
    (line,) = pending(home / "runs" / "one", uri).damaged
    assert line.startswith(str(home / file))


@pytest.mark.parametrize(("change", "words"), [
    (lambda path: path.write_bytes(b""), "it is empty"),
    (lambda path: path.unlink(), "it is missing"),
    (lambda path: path.write_bytes(path.read_bytes()[:200]), "but 999,999 were delivered before"),
])  # fmt: skip
def test_what_was_delivered_once_is_missed_when_it_is_gone(
    change: Callable[[Path], None], words: str, home: Path
) -> None:
    folder, uri = home / "runs" / "one", "sqlite:///nowhere"
    save(Cursor(runs={"one": Position(offset=999_999)}), cursor_path(folder, uri))
    change(home / SPOOLS[1])
    (line,) = pending(folder, uri).damaged
    assert words in line


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_cursor_is_begun_anew(how: str, home: Path) -> None:
    path = cursor_path(home / "runs" / "one", "sqlite:///nowhere")
    save(Cursor(experiment_id="7"), path)
    damage(path, how)
    assert load(path) == Cursor()
    save(Cursor(experiment_id="8"), path)
    assert load(path).experiment_id == "8"


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_claim_on_a_run_is_made_anew(how: str, tmp_path: Path) -> None:
    Attempt(tmp_path)
    damage(tmp_path / "attempt.json", how)
    again = Attempt(tmp_path)
    again.check()
    (tmp_path / "overdue").write_bytes(b"\xff late")
    assert "late" in str(pop_failure_marker(tmp_path))


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", ["lock", "owner.json"])
def test_a_damaged_lock_or_owner_stops_nobody_for_ever(name: str, how: str, tmp_path: Path) -> None:
    for file in ("lock", "owner.json"):
        (tmp_path / file).write_text("{}")
    damage(tmp_path / name, how)
    assert not is_owned(tmp_path)
    if (name, how) in (("lock", "folder"), ("owner.json", "folder")):
        with pytest.raises((Damaged, IsADirectoryError), match=name), lock_folder(tmp_path):
            pass
        return
    with (
        lock_folder(tmp_path),
        pytest.raises(UserError, match="is being run by"),
        lock_folder(tmp_path),
    ):
        pass


@pytest.fixture(scope="module")
def half_done(
    tiny_bert: Path, reviews_csv: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunConfig, Path]:
    folder = tmp_path_factory.mktemp("half") / "run"
    config = settings(tiny_bert, reviews_csv)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(tmp_path_factory.mktemp("home")))
        steps = iterate(config, folder)
        next(steps), next(steps)
        steps.close()
    return config, folder


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("file", ["state.json", "state.safetensors", ""])
def test_a_damaged_checkpoint_is_named_and_the_one_before_goes_on(
    file: str, how: str, half_done: tuple[RunConfig, Path], tmp_path: Path
) -> None:
    config, before = half_done
    folder = shutil.copytree(before, tmp_path / "run")
    last = folder / "checkpoint" / "00000004"
    if file:
        damage(last / file, how)
    elif how in ("absent", "folder"):
        return
    else:
        shutil.rmtree(last)
        last.write_bytes(DAMAGES[how](b"..") or b"")
    with pytest.raises(UserError, match="00000004 cannot be loaded"):
        run(config, folder)
    shutil.rmtree(last) if last.is_dir() else last.unlink()
    assert run(config, folder).status == "completed"


@pytest.mark.parametrize("how", [how for how in DAMAGES if how != "absent"])
def test_damaged_tokens_are_made_anew(
    how: str, half_done: tuple[RunConfig, Path], tmp_path: Path, own_home: Path
) -> None:
    from lora2_search.training.loop import prepare as preparation

    config, _ = half_done
    for _ in range(2):
        preparation._inputs.clear()
        preparation.check_loading(config)
        for path in (own_home / "tokens").glob("*.parquet"):
            if path.is_file():
                damage(path, how)


def test_what_is_set_aside_replaces_nothing(tmp_path: Path) -> None:
    for _ in range(3):
        (tmp_path / "x.json").write_text("?")
        stored.set_aside(tmp_path / "x.json")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["x.json.damaged", "x.json.damaged-2", "x.json.damaged-3"]


def test_a_study_in_a_folder_of_another_name_is_told_its_own(tmp_path: Path) -> None:
    folder = write_trials(tmp_path / "studies" / "other", [{"values": (0.6,)}], "first")
    plan = (folder / "space.yaml").read_text().replace("name: first", "name: other")
    (folder / "space.yaml").write_text(plan)
    with pytest.raises(UserError, match="holds the study first, not other; rename its folder back"):
        load_study("other", tmp_path)
