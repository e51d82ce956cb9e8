"""A study that runs is steered through its database, by whoever else opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle

from lora2_search.cli.commands.tune_steer import steer
from lora2_search.config.space.schema import Space
from lora2_search.errors import ConfigError, UserError
from lora2_search.execution.interruption import Interruption
from lora2_search.execution.run_queue import RunLimits, RunQueue
from lora2_search.execution.searcher import InterruptionStopper, TruthfulSearcher
from lora2_search.search.ask_tell import AskTell
from lora2_search.search.steering import add_trial, stop_trial
from lora2_search.search.storage import open_study
from lora2_search.search.study import load_study, run_study, study_folder
from lora2_search.store.lock import lock_folder
from tests.support.spaces import space_of
from tests.support.stand_in import Recorder, SlowStandIn

SEARCH = {
    "adapter.k": {"type": "int", "low": 1, "high": 16},
    "training.lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True},
}


@pytest.fixture
def space(tmp_path: Path) -> Space:
    random = {"sampler": {"name": "random"}, "scheduler": {"name": "none"}}
    return space_of(search=SEARCH, trials=3, **random)


@pytest.fixture
def source(tmp_path: Path, space: Space) -> Iterator[AskTell]:
    folder = study_folder("tiny", tmp_path)
    folder.mkdir(parents=True)
    space.write(folder)
    with lock_folder(folder), open_study(folder, "tiny") as (study, storage):
        yield AskTell(study, storage, space, folder, (), lambda: False)


def test_an_added_trial_goes_before_any_proposal_and_counts(
    tmp_path: Path, source: AskTell, space: Space
) -> None:
    folder = study_folder("tiny", tmp_path)
    assert source.next() is not None
    assert add_trial(folder, space, {"adapter.k": 5}) == 1
    assert add_trial(folder, space, {"adapter.k": 6, "training.lr": 1e-2}) == 2
    with pytest.raises(UserError, match="all 3 trials of tiny have begun or wait already"):
        add_trial(folder, space, {"adapter.k": 7})
    first, second = source.next(), source.next()
    assert first is not None and second is not None
    assert (first.settings["adapter.k"], first.given_by) == (5, "by hand")
    assert set(first.settings) == set(SEARCH)  # the rest was proposed
    assert second.settings == {"adapter.k": 6, "training.lr": 1e-2}
    assert source.next() is None


def test_a_stopped_trial_ends_at_its_next_evaluation_as_pruned_by_hand(
    tmp_path: Path, source: AskTell
) -> None:
    terms = RunLimits(threads=1, gpu=False, interval_seconds=None)
    queue = RunQueue(source, [], terms, lambda at: "weaker")
    searcher, stopper = TruthfulSearcher(queue), InterruptionStopper(Interruption(), queue)
    searcher.suggest("a")
    searcher.suggest("b")
    assert not stopper("a", {})
    stop_trial(study_folder("tiny", tmp_path), 0)
    assert stopper("a", {})
    assert not stopper("b", {})
    searcher.on_trial_complete("a", {"training_iteration": 2, "score": 0.5, "failed": ""})
    trial = load_study("tiny", tmp_path).trials[0]
    assert (trial.state, trial.reason) == ("PRUNED", "stopped after evaluation 2: by hand")
    with pytest.raises(UserError, match="is not running: it has ended; running are 1"):
        stop_trial(study_folder("tiny", tmp_path), 0)
    with pytest.raises(UserError, match="tiny has no trial 9; running are 1"):
        stop_trial(study_folder("tiny", tmp_path), 9)


def test_tune_can_write_its_stopper_down_beside_its_state(source: AskTell) -> None:
    terms = RunLimits(threads=1, gpu=False, interval_seconds=None)
    queue = RunQueue(source, [], terms, lambda at: "weaker")
    assert cloudpickle.dumps(InterruptionStopper(Interruption(), queue))


def test_a_trial_that_waits_is_not_running(tmp_path: Path, source: AskTell, space: Space) -> None:
    folder = study_folder("tiny", tmp_path)
    add_trial(folder, space, {"adapter.k": 5})
    with pytest.raises(UserError, match="it waits for its turn; no trial is running right now"):
        stop_trial(folder, 0)


@pytest.mark.parametrize(
    ("added", "words"),
    [
        (["adapter.k=99"], "--add adapter.k=99: adapter.k: must be from 1 to 16, but got 99"),
        (["adapter.kk=9"], 'did you mean "adapter.k"?'),
        (["adapter.r=8"], "is not searched here"),
        (["adapter.k"], "--add adapter.k: must read key=value"),
        (["adapter.k=[1"], "invalid YAML"),
        (["adapter.k=1", "adapter.k=2"], "--add adapter.k=2: adapter.k: is given twice"),
        (["adapter.k=1.5", "training.lr=x"], "--add training.lr=x: training.lr: must be a number"),
    ],
)
def test_settings_that_no_trial_can_have_are_refused_where_they_stand(
    tmp_path: Path, source: AskTell, added: list[str], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        steer(added, None, None, tmp_path, False, {})
    assert words in str(caught.value)


def test_another_terminal_finds_the_study_that_runs_and_says_what_it_did(
    tmp_path: Path, source: AskTell, capsys: pytest.CaptureFixture[str]
) -> None:
    steer(["adapter.k=4"], None, None, tmp_path, False, {})
    assert "trial 0 of tiny waits for a free place" in capsys.readouterr().out
    source.next()
    steer([], 0, "tiny", tmp_path, True, {"--space": None})
    assert '"stopping": 0' in capsys.readouterr().out
    with pytest.raises(UserError, match="so --space, --trials has no place beside it"):
        steer(["adapter.k=4"], None, None, tmp_path, False, {"--space": "x", "--trials": 3})
    with pytest.raises(UserError, match="two requests"):
        steer(["adapter.k=4"], 1, None, tmp_path, False, {})


def test_without_a_study_that_runs_nothing_is_steered(tmp_path: Path, space: Space) -> None:
    with pytest.raises(UserError, match="no study is running in"):
        steer(["adapter.k=4"], None, None, tmp_path, False, {})
    folder = study_folder("tiny", tmp_path)
    folder.mkdir(parents=True)
    space.write(folder)
    with pytest.raises(UserError, match="nothing runs study tiny.* resume='tiny' takes it up"):
        steer(["adapter.k=4"], None, "tiny", tmp_path, False, {})
    with pytest.raises(UserError, match='no study named tinny .* did you mean "tiny"'):
        steer([], 3, "tinny", tmp_path, False, {})
    with lock_folder(folder), pytest.raises(UserError, match="tiny is only starting"):
        steer([], 3, None, tmp_path, False, {})


class Steering(Recorder):
    """An observer that steers when trial 0 has been evaluated once."""

    def __init__(self, steps: list[Callable[[], Any]]) -> None:
        super().__init__()
        self._steps = steps

    def reported(self, run: Any, report: Any) -> None:
        super().reported(run, report)
        while run.key == "00000" and self._steps:
            self._steps.pop()()


def test_a_study_on_ray_obeys_while_it_runs(tmp_path: Path, ray_here: None, space: Space) -> None:
    folder = study_folder("tiny", tmp_path)
    added = {"adapter.k": 9, "training.lr": 5e-3}
    seen = Steering([lambda: stop_trial(folder, 0), lambda: add_trial(folder, space, added)])
    alone = space.model_copy(
        update={"resources": space.resources.model_copy(update={"concurrent": 1})}
    )
    study = run_study(
        alone, storage=tmp_path, observers=[seen], reference=False, trainable=SlowStandIn
    )
    assert [trial.state for trial in study.trials] == ["PRUNED", "COMPLETE", "COMPLETE"]
    assert study.trials[0].reason == "stopped after evaluation 2: by hand"
    assert study.trials[0].record is not None
    assert study.trials[0].record.status == "pruned"
    assert study.trials[1].params == added
    assert study.trials[2].given_by == ""
