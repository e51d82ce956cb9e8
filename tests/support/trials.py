"""Trials of a space, one after another and without Ray: real storage, real records, no training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.schema import Space
from lora2_search.search.ask_tell import AskTell
from lora2_search.search.prior import WarmStart
from lora2_search.search.storage import open_study
from lora2_search.search.trial import RunAll, StudyTrial, read_trials
from lora2_search.search.winner import confirm_winner
from lora2_search.store.record import RunRecord, read_record


def finished(run: RunInfo) -> RunRecord:
    """Write the record of a run whose score and size both grow with k, the score ever slower."""
    k, lr = run.config.adapter.k, run.config.training.lr
    score = round(k / (k + 4) - abs(lr - 0.003), 6)
    record = RunRecord(
        fingerprint=run.config.fingerprint(),
        config=run.config.model_dump(mode="json"),
        status="completed",
        metric="accuracy",
        total_steps=10,
        scores=_scores(run, score),
        counts=dict.fromkeys(("trained_adapter", "kept_adapter", "compressed_adapter"), 1000 * k),
    )
    run.folder.mkdir(parents=True, exist_ok=True)
    record.write(run.folder)
    return record


def drive(
    folder: Path,
    space: Space,
    most: int | None = None,
    pruned: Callable[[int], bool] = lambda number: False,
    say: Callable[[str], None] = lambda line: None,
    warm: WarmStart | None = None,
    made: Callable[[RunInfo], RunRecord] = finished,
    shared: bool = False,
) -> tuple[StudyTrial, ...]:
    """Run a study's trials in this process until it ends; return all that it has.

    Args:
        folder: The study's folder: a study that is there goes on.
        space: What is searched.
        most: Leave after so many trials, with the next one under way, as a killed driver does.
        pruned: Whether the trial of a number is stopped after its first evaluation.
        say: Takes what is said to the user.
        warm: What a study that begins takes over.
        made: Makes the record of a run.
        shared: Whether the folder may be on a network file system.
    """
    folder.mkdir(parents=True, exist_ok=True)
    space.write(folder)
    with open_study(folder, space.name, shared=shared, goals=space.goals) as (study, storage):
        if warm is not None:
            warm.keep(study)
        source = AskTell(study, storage, space, folder, (), lambda: False, say)
        for count in itertools.count():
            run = source.next()
            if run is None or count == most:
                break
            record = made(run)
            score = record.scores["validation/accuracy"]
            source.reported(run, 1, score)
            if pruned(int(run.key)):
                source.ended(run, "PRUNED", None, "weaker")
            else:
                source.ended(run, "COMPLETE", score, "")
    return read_trials(folder, space.name)


def seeded(run: RunInfo) -> RunRecord:
    """Write the record of a run whose score also depends on its seed, by at most 0.1 either way."""
    record = finished(run)
    rng = np.random.default_rng([run.config.adapter.k, run.config.seed])
    score = record.scores["validation/accuracy"] + round(rng.uniform(-0.1, 0.1), 6)
    record.scores = _scores(run, score)
    record.write(run.folder)
    return record


def confirm(
    folder: Path,
    space: Space,
    made: Callable[[RunInfo], RunRecord] = seeded,
    most: int | None = None,
) -> list[str]:
    """Run in this process what confirms the winner of a study that `drive` has searched.

    Args:
        folder: The study's folder.
        space: What was searched.
        made: Makes the record of a run.
        most: Leave after so many runs, as a driver does that is interrupted.

    Returns:
        The keys of the runs that were made, in their order.
    """
    run_all, keys = in_this_process(made, most)
    confirm_winner(space, folder, read_trials(folder, space.name), run_all, lambda line: None)
    return keys


def in_this_process(
    made: Callable[[RunInfo], RunRecord], most: int | None = None
) -> tuple[RunAll, list[str]]:
    """Return what runs a list of runs here, and the keys of those that it has made.

    Args:
        made: Makes the record of a run.
        most: Leave after so many runs, as a driver does that is interrupted.
    """
    keys: list[str] = []

    def run_all(runs: Sequence[RunInfo]) -> bool:
        for run in runs:
            if len(keys) == most:
                return True
            if read_record(run.folder) is None:
                made(run)
                keys.append(run.key)
        return False

    return run_all, keys


def _scores(run: RunInfo, score: float) -> dict[str, float]:
    scores = {"validation/accuracy": score}
    return scores | ({"test/accuracy": score / 2} if run.config.training.score_test else {})
