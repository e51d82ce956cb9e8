"""Trials of a space, one after another and without Ray: real storage, real records, no training."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.schema import Space
from lora2_search.search.ask_tell import AskTell
from lora2_search.search.prior import WarmStart
from lora2_search.search.storage import open_study
from lora2_search.search.trial import StudyTrial, read_trials
from lora2_search.store.record import RunRecord


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
        scores={"validation/accuracy": score, "test/accuracy": score / 2},
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
) -> tuple[StudyTrial, ...]:
    """Run a study's trials in this process until it ends; return all that it has.

    Args:
        folder: The study's folder: a study that is there goes on.
        space: What is searched.
        most: Leave after so many trials, with the next one under way, as a killed driver does.
        pruned: Whether the trial of a number is stopped after its first evaluation.
        say: Takes what is said to the user.
        warm: What a study that begins takes over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    space.write(folder)
    with open_study(folder, space.name, goals=space.goals) as (study, storage):
        if warm is not None:
            warm.keep(study)
        source = AskTell(study, storage, space, folder, (), lambda: False, say)
        for count in itertools.count():
            run = source.next()
            if run is None or count == most:
                break
            record = finished(run)
            score = record.scores["validation/accuracy"]
            source.reported(run, 1, score)
            if pruned(int(run.key)):
                source.ended(run, "PRUNED", None, "weaker")
            else:
                source.ended(run, "COMPLETE", score, "")
    return read_trials(folder, space.name)
