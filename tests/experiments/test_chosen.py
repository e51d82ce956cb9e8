from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lora2_search.config.run import RunConfig
from lora2_search.config.space.schema import load_space
from lora2_search.config.suite.schema import load_suite
from lora2_search.errors import ConfigError, NameInUse, Problem, UserError
from lora2_search.experiments.train import run_folder
from lora2_search.search.storage import open_study
from lora2_search.search.study import STUDIES
from lora2_search.store.lock import lock_folder
from lora2_search.store.record import RunRecord
from tests.support.requests import asked_run, asked_space, asked_suite


def take(home: Path, *parts: str) -> None:
    path = home.joinpath(*parts)
    path.parent.mkdir(parents=True)
    path.write_text("taken")


def test_a_space_is_called_by_its_file_and_numbered_where_that_is_taken(own_home: Path) -> None:
    assert asked_space("quickstart").plan.name == "quickstart"
    take(own_home, "studies", "quickstart", "space.yaml")
    assert asked_space("quickstart").plan.name == "quickstart-2"
    take(own_home, "studies", "quickstart-2", "space.yaml")
    assert asked_space("quickstart").plan.name == "quickstart-3"


def test_a_name_in_use_is_said_with_how_far_that_study_has_come(own_home: Path) -> None:
    folder = own_home / "studies" / "quickstart"
    folder.mkdir(parents=True)
    load_space("quickstart", ["trials=2"]).write(folder)
    told: list[str] = []
    with open_study(folder, "quickstart") as (study, _):
        first, second = study.ask(), study.ask()
        study.tell(first, 0.5)
        asked_space("quickstart", say=told.append)
        with lock_folder(folder):
            asked_space("quickstart", say=told.append)
        study.tell(second, 0.5)
    asked_space("quickstart", say=told.append)
    (folder / "space.yaml").write_text("- broken")
    asked_space("quickstart", say=told.append)
    again = "resume it with resume='quickstart'"
    assert [line.removesuffix("; this one is quickstart-2") for line in told] == [
        f"quickstart exists (1 of 2 trials; {again})",
        "quickstart exists (1 of 2 trials; it is running)",
        "quickstart exists (2 of 2 trials)",
        "quickstart exists, but its space.yaml is broken",
    ]
    asked_space("quickstart", name="other", say=told.append)
    assert len(told) == 4


def test_an_error_about_a_name_in_use_says_which_and_where(own_home: Path) -> None:
    folder = own_home / "studies" / "quickstart"
    folder.mkdir(parents=True)
    load_space("quickstart", ["trials=2"]).write(folder)
    with pytest.raises(NameInUse) as caught:
        STUDIES.check_free("quickstart")
    error = caught.value
    assert (error.kind, error.name, error.folder) == ("study", "quickstart", folder)
    assert str(error) == (
        f"a study named quickstart exists ({folder}); resume it with resume='quickstart', "
        "or take another name"
    )
    take(own_home, "runs", "one", "record.json")
    with pytest.raises(NameInUse) as caught:
        asked_run(RunConfig(task="sentiment"), name="one")
    assert (caught.value.kind, caught.value.name) == ("run", "one")


def test_a_name_of_a_suite_in_use_is_said_too(own_home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "suites" / "quick"
    folder.mkdir(parents=True)
    load_suite("quick", ["seeds=3"]).write(folder)
    told: list[str] = []
    assert asked_suite("quick", storage=tmp_path, say=told.append).plan.name == "quick-2"
    (line,) = told
    assert line.startswith("quick exists (0 of ")
    assert line.endswith("resume it with resume='quick'); this one is quick-2")


def test_mistakes_that_are_found_later_get_the_place_of_their_key(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("task: custom\ndata:\n  path: a.csv\n  text: [review]\n")
    chosen = asked_run(path, overrides=["data.label=verdict"])
    late = [Problem("data.text.0", "a"), Problem("data.label", "b"), Problem("seed", "c", "here")]
    late += [Problem("model.name_or_path", "d")]
    with pytest.raises(ConfigError) as caught, chosen.locating_errors():
        raise ConfigError(late)
    assert [problem.where for problem in caught.value.problems] == [
        f"{path}:4",
        "--set data.label=verdict",
        "here",
        str(path),
    ]


def test_a_suite_is_numbered_too_and_apart_from_studies(own_home: Path) -> None:
    take(own_home, "studies", "quick", "space.yaml")
    assert asked_suite("quick").plan.name == "quick"
    take(own_home, "suites", "quick", "suite.yaml")
    assert asked_suite("quick").plan.name == "quick-2"


@pytest.mark.parametrize("asked", [{"name": "mine"}, {"overrides": ["name=mine"]}])
def test_a_name_that_was_asked_for_is_never_changed(asked: dict, own_home: Path) -> None:
    take(own_home, "studies", "mine", "space.yaml")
    assert asked_space("quickstart", **asked).plan.name == "mine"
    take(own_home, "suites", "mine", "suite.yaml")
    assert asked_suite("quick", **asked).plan.name == "mine"


@pytest.mark.parametrize("name", ["42", "no", "1e3", "2024-01-01"])
def test_a_name_that_yaml_would_read_as_something_else_is_a_name(name: str) -> None:
    assert asked_space("quickstart", name=name).plan.name == name
    assert asked_suite("quick", name=name).plan.name == name


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="name"):
        asked_space("quickstart", name="")


def test_a_storage_folder_has_names_of_its_own(own_home: Path, tmp_path: Path) -> None:
    take(own_home, "studies", "quickstart", "space.yaml")
    assert asked_space("quickstart", storage=tmp_path).plan.name == "quickstart"


def test_a_space_from_python_is_taken_as_it_is() -> None:
    space = load_space("quickstart")
    assert asked_space(space).plan == space
    with pytest.raises(UserError, match="change the object itself"):
        asked_space(space, overrides=["adapter.k=4"])


@pytest.mark.parametrize(
    ("changes", "asked", "words"),
    [
        ([], {"until_decided": True}, "was started with a fixed number of seeds"),
        (["until_decided=true"], {"add_seeds": 2}, "adds seeds by its own plan"),
        (["until_decided=true"], {"overrides": ["seeds=40"]}, "adds seeds by its own plan"),
        ([], {"add_seeds": 0}, "must be 1 or more"),
    ],
)
def test_a_stored_suite_keeps_the_way_in_which_it_gets_its_seeds(
    changes: list[str], asked: dict, words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "suites" / "quick"
    folder.mkdir(parents=True)
    load_suite("quick", changes).write(folder)
    with pytest.raises(UserError, match=words):
        asked_suite(None, resume="quick", storage=tmp_path, **asked)


def test_a_stored_suite_gets_more_seeds_and_goes_on_until_it_is_decided(tmp_path: Path) -> None:
    for name, more in (("fixed", []), ("open", ["until_decided=true"])):
        folder = tmp_path / "suites" / name
        folder.mkdir(parents=True)
        load_suite("quick", [f"name={name}", "seeds=3", "seed=6", *more]).write(folder)
    grown = asked_suite(None, resume="fixed", storage=tmp_path, add_seeds=2).plan
    assert grown.seed_list == [6, 7, 8, 9, 10]
    going = asked_suite(None, resume="open", storage=tmp_path).plan
    assert going.until_decided and going.seed_list == [6, 7, 8]


def test_the_copy_of_a_suite_that_ran_begins_anew(tmp_path: Path) -> None:
    stored = load_suite("quick", ["seed=6", "seeds=3", "added_seeds=[8]", "tuned={}"])
    plan = asked_suite(stored.write(tmp_path), storage=tmp_path).plan
    assert plan.seed_list == [6, 7, 8] and not plan.added_seeds and plan.tuned is None


GRID = {"arms": {"base": {"training.lr": [0.1, 0.2]}}, "extend": {"training.lr": 1}}
TRIAL = {"base": [{"training.lr": 0.4}]}


def by_hand(folder: Path, **more: object) -> Path:
    path = folder / "mine.yaml"
    arms = {"flat": {"adapter.gamma": 0}, "head-only": {"method": "head-only"}}
    path.write_text(yaml.safe_dump({"task": "sentiment", "arms": arms, "tuning": GRID, **more}))
    return path


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"tuning": {**GRID, "extended": TRIAL}}, "tuning.extended"),
        ({"tuned": {"base": {"training.lr": 0.2}}}, "tuned"),
        ({"open_ends": {"base": ["training.lr"]}}, "open_ends"),
        ({"added_seeds": [5]}, "added_seeds"),
    ],
)
def test_what_a_suite_writes_of_itself_is_refused_in_a_file_of_ones_own(
    more: dict, key: str, tmp_path: Path
) -> None:
    path = by_hand(tmp_path, **more)
    with pytest.raises(ConfigError, match="leave it out") as caught:
        asked_suite(path, storage=tmp_path)
    (problem,) = caught.value.problems
    line = path.read_text()[: path.read_text().index(key.rpartition(".")[2] + ":")].count("\n") + 1
    assert (problem.key, problem.where) == (key, f"{path}:{line}")


def test_what_a_suite_writes_of_itself_is_refused_in_an_assignment(tmp_path: Path) -> None:
    assigned = "tuning.extended={base: [{training.lr: 0.4}]}"
    with pytest.raises(ConfigError, match="--set tuning.extended=.* leave it out; `extend`"):
        asked_suite(by_hand(tmp_path), overrides=[assigned], storage=tmp_path)


def test_trials_that_a_suite_added_stay_with_it_and_not_with_its_copy(tmp_path: Path) -> None:
    folder = tmp_path / "suites" / "mine"
    folder.mkdir(parents=True)
    ran = load_suite(str(by_hand(tmp_path, tuning={**GRID, "extended": TRIAL})))
    stored = ran.write(folder)
    resume_command = asked_suite(None, resume="mine", storage=tmp_path).plan.tuning
    assert resume_command is not None and resume_command.extended == TRIAL
    copy = asked_suite(stored, storage=tmp_path).plan.tuning
    assert copy is not None and copy.extended == {}


def test_overrides_reach_the_space_and_fix_what_was_searched() -> None:
    space = asked_space("quickstart", overrides=["adapter.k=4", "trials=30"]).plan
    assert (space.adapter.k, space.trials) == (4, 30)
    assert "adapter.k" not in space.search


def test_a_stored_study_is_resumed_with_its_own_space(own_home: Path) -> None:
    folder = own_home / "studies" / "mine"
    folder.mkdir(parents=True)
    load_space("quickstart", ["name=mine", "adapter.k=4"]).write(folder)
    space = asked_space(None, resume="mine", overrides=["trials=30"]).plan
    assert (space.name, space.adapter.k, space.trials) == ("mine", 4, 30)
    with pytest.raises(UserError, match="did you mean"):
        asked_space(None, resume="mien")


def test_a_run_is_called_by_its_settings_so_that_the_same_go_on() -> None:
    first, again = (asked_run(RunConfig(task="sentiment")).plan for _ in range(2))
    other = asked_run(RunConfig(task="sentiment"), overrides=["seed=1"]).plan
    assert first.name == again.name
    assert first.name.startswith("sentiment-lora2-")
    assert other.name != first.name
    assert other.config.seed == 1


def test_a_run_of_an_asked_for_name_that_exists_is_refused(own_home: Path) -> None:
    folder = run_folder("mine")
    folder.mkdir(parents=True)
    config = RunConfig(task="sentiment", seed=4)
    record = RunRecord(fingerprint=config.fingerprint(), config=config.model_dump(mode="json"))
    record.write(folder)
    with pytest.raises(UserError, match="mine exists .* resume it with resume='mine', or"):
        asked_run(config, name="mine")
    assert asked_run(None, resume="mine").plan.config == config
    with pytest.raises(UserError, match='did you mean "mine"'):
        asked_run(None, resume="mien")
    with pytest.raises(UserError, match="resume='mine' without other settings"):
        asked_run(None, resume="mine", overrides=["seed=1"])


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", ".."])
def test_a_run_is_never_written_outside_its_place(name: str) -> None:
    with pytest.raises(UserError, match="is not a path"):
        run_folder(name)


def test_a_wrong_setting_of_a_run_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("task: rte\nadapter: {kk: 4}\n")
    with pytest.raises(ConfigError, match=r"run\.yaml:2: adapter\.kk: unknown key"):
        asked_run(path)
