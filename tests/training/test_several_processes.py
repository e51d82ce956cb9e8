"""One run over several processes: what one gives, and no process left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from safetensors.torch import load_file

from lora2_search.errors import ConfigError, Preempted, UserError
from lora2_search.store.record import RunRecord, read_record
from lora2_search.training.data.tokens import Encoded
from lora2_search.training.kinds.completion import Completion
from lora2_search.training.kinds.kind import TaskKind
from lora2_search.training.kinds.labelled import Labelled
from lora2_search.training.loop.processes import part_of
from lora2_search.training.loop.run import iterate, run
from tests.support import language
from tests.support.patience import BUSY
from tests.training.test_run import comparable, settings

# A batch of 7 gives one process more than the other, and the last one of an epoch has 5.
UNEVEN = {"training.steps": 20, "training.batch_size": 7, "training.accumulation": 2}


@pytest.fixture(scope="session")
def without_dropout(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without-dropout") / "bert"
    shutil.copytree(tiny_bert, folder)
    shape = json.loads((folder / "config.json").read_text())
    shape |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(shape))
    return folder


def series(record: RunRecord, name: str) -> list[float]:
    return [point.metrics[name] for point in record.history if name in point.metrics]


def assert_equal_but_for_rounding(folder: Path, alone: Path) -> None:
    ours, theirs = read_record(folder), read_record(alone)
    assert ours is not None and theirs is not None
    assert [p.step for p in ours.history] == [p.step for p in theirs.history]
    assert [p.metrics.keys() for p in ours.history] == [p.metrics.keys() for p in theirs.history]
    assert len(series(ours, "train/loss")) >= 20
    for name in ours.history[0].metrics.keys() - {"train/grad_norm"}:
        np.testing.assert_allclose(series(ours, name), series(theirs, name), rtol=0, atol=1e-5)
    assert ours.rank_pattern == theirs.rank_pattern
    assert ours.scores == pytest.approx(theirs.scores, abs=1e-4)
    assert ours.fingerprint == theirs.fingerprint and ours.counts == theirs.counts
    mine, others = (pd.read_parquet(f / "predictions.parquet") for f in (folder, alone))
    pd.testing.assert_frame_equal(mine, others, check_exact=False, rtol=0, atol=1e-4)
    weights, same = (load_file(f / "adapter/adapter_model.safetensors") for f in (folder, alone))
    assert weights.keys() == same.keys()
    for name, tensor in weights.items():
        assert (tensor == 0).equal(same[name] == 0) or "lambda" not in name
        torch.testing.assert_close(tensor, same[name], rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        {"adapter.score_loss": "task"},
        {"adapter.orthogonality": "hard", "training.max_grad_norm": None},
        {"method": "adalora"},
    ],
    ids=["task", "hard", "adalora"],
)
def test_two_processes_give_the_losses_masks_and_predictions_of_one(
    more: dict[str, Any], without_dropout: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(without_dropout, reviews_csv, **UNEVEN, **more)
    assert run(config, tmp_path / "alone").processes == 1
    assert run(config, tmp_path / "two", devices=2).processes == 2
    assert_equal_but_for_rounding(tmp_path / "two", tmp_path / "alone")


@pytest.mark.slow
def test_of_a_language_model_every_token_counts_alike_whichever_process_has_it(
    tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in completions.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["completion"] *= 1 + number % 3  # so that parts of a batch learn different numbers
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    training = {"steps": 20, "batch_size": 7, "accumulation": 2, "evaluations": 2, "lr": 1e-2}
    config = language.settings(tiny_llama, path, training=training)
    run(config, tmp_path / "alone")
    run(config, tmp_path / "two", devices=2)
    assert_equal_but_for_rounding(tmp_path / "two", tmp_path / "alone")


@pytest.mark.slow
def test_two_processes_that_had_to_go_and_were_taken_up_equal_two_that_never_stopped(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, **{"training.steps": 20})  # with dropout
    run(config, tmp_path / "whole", devices=2)
    stopped = tmp_path / "stopped"
    asked: list[bool] = []
    steps = iterate(config, stopped, has_to_go=lambda: bool(asked), devices=2)
    next(steps)
    asked.append(True)
    with pytest.raises(Preempted):
        next(steps)
    left = read_record(stopped)
    assert left is not None and left.status == "running" and children() == []
    (step,) = [int(path.name) for path in (stopped / "checkpoint").glob("[0-9]*")][-1:]
    assert 5 < step < 20
    run(config, stopped, devices=2)
    assert comparable(stopped) == comparable(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_another_number_of_processes_takes_a_run_up(
    before: int, after: int, without_dropout: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(without_dropout, reviews_csv, **UNEVEN)
    steps = iterate(config, tmp_path / "moved", devices=before)
    next(steps)
    next(steps)
    steps.close()
    assert children() == []
    assert run(config, tmp_path / "moved", devices=after).processes == after
    run(config, tmp_path / "alone")
    assert_equal_but_for_rounding(tmp_path / "moved", tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_fails_the_run_with_its_reason_and_the_run_can_go_on(
    rank: int, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, **{"training.steps": 2000})
    steps = iterate(config, tmp_path, devices=2)
    next(steps)
    children()[rank].kill()
    with pytest.raises(UserError, match=rf"^process {rank + 1} of 2 was killed \(SIGKILL\)"):
        next(steps)
    assert children() == []
    record = read_record(tmp_path)
    assert record is not None and record.status == "failed"
    assert record.error is not None and f"process {rank + 1} of 2 was killed" in record.error
    report = next(iterate(config, tmp_path))
    assert report.step == 500 and report.points[-1].step == 500


@pytest.mark.slow
def test_kill_9_of_the_process_that_started_them_leaves_none(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    # The record says that there are two at the first evaluation.
    often = {"training.steps": 20000, "training.evaluations": 1000}
    config = settings(tiny_bert, reviews_csv, **often)
    code = (
        "import sys; from pathlib import Path\n"
        "from lora2_search.config.run import RunConfig\n"
        "from lora2_search.training.loop.run import run\n"
        "run(RunConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]), devices=2)"
    )
    arguments = [sys.executable, "-c", code, config.model_dump_json(), str(tmp_path / "run")]
    starter = subprocess.Popen(arguments)
    try:
        wait_until(lambda: (read_record(tmp_path / "run") or record_of_nothing()).processes == 2)
        ranks = psutil.Process(starter.pid).children(recursive=True)
        assert len(ranks) >= 2
    finally:
        os.kill(starter.pid, signal.SIGKILL)
        starter.wait()
    _, alive = psutil.wait_procs(ranks, timeout=10 * BUSY)
    assert alive == []


@pytest.mark.slow
def test_mistakes_that_a_process_finds_come_back_as_they_are(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, **{"data.label": "no-such-column"})
    errors = []
    for devices in (1, 2):
        with pytest.raises(ConfigError) as caught:
            run(config, tmp_path / str(devices), devices=devices)
        errors.append(caught.value)
    assert errors[0].problems == errors[1].problems and str(errors[0]) == str(errors[1])
    records = [read_record(tmp_path / str(devices)) for devices in (1, 2)]
    assert [record.error if record else None for record in records] == [
        f"ConfigError: {errors[0]}"
    ] * 2


def children() -> list[psutil.Process]:
    """The processes of a run that this one has started, in their order."""
    ours = psutil.Process().children()
    return sorted((p for p in ours if "rank" in " ".join(p.cmdline())), key=lambda p: p.pid)


def record_of_nothing() -> RunRecord:
    return RunRecord(fingerprint="", config={})


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60 * BUSY
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def examples(learnt: list[int]) -> Encoded:
    """A split whose examples learn so many tokens each."""
    targets = [[-100, -100, *range(count)] for count in learnt]
    lengths = np.array([len(row) for row in targets])
    return Encoded({"targets": targets}, np.zeros(len(learnt)), lengths)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("learnt", [[4, 1, 0, 2, 7, 3, 3], [5, 0], [0, 0, 0], [1]])
def test_the_parts_of_a_batch_make_the_mean_over_all_its_terms(
    count: int, learnt: list[int]
) -> None:
    rng = np.random.default_rng(0)
    split, rows = examples(learnt), list(range(len(learnt)))
    of_tokens = [rng.normal(size=size) for size in learnt]
    of_examples = rng.normal(size=len(learnt))

    def mean_of_tokens(chosen: list[int]) -> float:
        terms = np.concatenate([of_tokens[row] for row in chosen])
        return float(terms.mean()) if len(terms) else 0.0

    def mean_of_examples(chosen: list[int]) -> float:
        return float(of_examples[chosen].mean())

    kinds: list[tuple[TaskKind, Callable[[list[int]], float]]] = [
        (Labelled("classification", None), mean_of_examples),
        (Completion(None, None), mean_of_tokens),  # type: ignore[arg-type, list-item]
    ]
    for kind, loss in kinds:
        parts = [part_of(kind, split, rows, rank, count) for rank in range(count)]
        shared = sum(weight * loss(part) for part, weight in parts) / count
        assert shared == pytest.approx(loss(rows), abs=1e-12)
