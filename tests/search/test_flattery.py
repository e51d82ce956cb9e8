"""How far selection flatters the score that a study reports: simulated through the real code.

Runs take no time: a run scores what its setting is worth, plus chance of its seed, plus chance of
the split. Everything else (proposals, ranking, fresh seeds, choice, means) is what `tune` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pytest

from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.schema import Space
from lora2_search.search.ask_tell import AskTell
from lora2_search.search.trial import StudyTrial, _trial
from lora2_search.search.winner import confirm_winner, winner_of
from lora2_search.store.record import RunRecord
from tests.support.spaces import space_of

STUDIES = 400

# Of one run, of chance that both splits share (the seed) and that each has for itself.
SEED_SD, SPLIT_SD = 0.008, 0.006
SD = float(np.hypot(SEED_SD, SPLIT_SD))


@dataclass
class Told:
    """What a study reports minus what its winner is worth, in standard deviations of a run."""

    naive: float
    naive_test: float
    validation: float
    test: float
    covered: bool


def space() -> Space:
    return space_of(
        method="head-only",  # it is the floor itself: no baseline beside it
        search={"training.lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
        trials=10,
        winner={"top": 3, "seeds": 3},
        sampler={"name": "random"},
        scheduler={"name": "none"},
        objective={"metric": "accuracy"},
    )


def worth(run: RunInfo) -> float:
    """The best setting is worth a standard deviation of a run more than the worst."""
    return 0.8 - SD * abs(np.log10(run.config.training.lr) + 3)


class World:
    """Runs of one study: the same setting with the same seed scores the same."""

    def __init__(self, study: int) -> None:
        self.study = study

    def scores(self, run: RunInfo) -> tuple[float, float]:
        lr = round(1e9 * run.config.training.lr)
        rng = np.random.default_rng([self.study, run.config.seed, lr])
        seed, validation, test = rng.normal(0, [SEED_SD, SPLIT_SD, SPLIT_SD])
        return worth(run) + seed + validation, worth(run) + seed + test

    def record(self, run: RunInfo) -> None:
        validation, test = self.scores(run)
        run.folder.mkdir(parents=True)
        record = RunRecord(fingerprint="-", config={}, status="completed", metric="accuracy")
        record.scores = {"validation/accuracy": validation}
        if run.config.training.score_test:
            record.scores["test/accuracy"] = test
        record.write(run.folder)


def searched(space: Space, folder: Path, world: World) -> tuple[StudyTrial, ...]:
    study = optuna.create_study(direction="maximize")
    source = AskTell(study, study._storage, space, folder, (), lambda: False)
    while (run := source.next()) is not None:
        source.ended(run, "COMPLETE", world.scores(run)[0], "")
    return tuple(_trial(trial, folder) for trial in study.trials)


def told(base: Space, number: int, folder: Path) -> Told:
    sampler = base.sampler.model_copy(update={"seed": number * base.trials})
    plan = base.model_copy(update={"sampler": sampler})
    world = World(number)
    trials = searched(plan, folder, world)

    def run_all(runs) -> bool:
        for run in runs:
            world.record(run)
        return False

    confirm_winner(plan, folder, trials, run_all, lambda line: None)
    found = winner_of(plan, folder, trials)
    assert found is not None and found.reported is not None and found.chosen is not None
    best = max(trials, key=lambda trial: trial.score or 0.0)
    run = RunInfo("", "", plan.run_config(best.params), {}, folder)
    validation, test = world.scores(run)
    right = worth(RunInfo("", "", plan.run_config(found.chosen.settings), {}, folder))
    reported = found.reported
    return Told(
        naive=(validation - worth(run)) / SD,
        naive_test=(test - worth(run)) / SD,
        validation=((reported.validation.estimate or 0.0) - right) / SD,
        test=((reported.test.estimate or 0.0) - right) / SD,
        covered=(reported.test.low or 0.0) <= right <= (reported.test.high or 0.0),
    )


@pytest.mark.slow
def test_the_reported_score_is_not_flattered_and_the_searchs_own_is(tmp_path: Path) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    base = space()
    rows = [told(base, number, tmp_path / str(number)) for number in range(STUDIES)]
    naive, naive_test, validation, test = (
        np.mean([getattr(row, name) for row in rows])
        for name in ("naive", "naive_test", "validation", "test")
    )
    print(f"{naive=:.3f} {naive_test=:.3f} {validation=:.3f} {test=:.3f}")
    covered = sum(row.covered for row in rows)
    assert abs(validation) <= 0.1
    assert abs(test) <= 0.1
    assert naive > 0.8
    assert naive_test > 0.4
    assert 0.92 * STUDIES <= covered <= 0.98 * STUDIES
