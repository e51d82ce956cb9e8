"""The shipped spaces and suites: all of them run through the real reader."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lora2_search.config.run import GLUE_TASKS
from lora2_search.config.space.schema import load_space
from lora2_search.config.suite.schema import load_suite
from lora2_search.store.paths import shipped

SPACES = [path for path in sorted(shipped("search_spaces").glob("[!_]*.yaml"))]
SUITES = sorted(shipped("ablations").glob("[!_]*.yaml"))

# sentences, target rank, r, gamma, t_init, t_final, delta_t, alpha, max length, lr, epochs,
# warm-up (steps, or a share), classifier dropout, weight decay: as published.
PUBLISHED = {
    "mnli": (392_702, 3, 8, 0.1, 8000, 50000, 100, 16, 256, 5e-4, 7, 1000, 0.15, 0),
    "qqp": (363_846, 3, 8, 0.1, 8000, 25000, 100, 16, 320, 8e-4, 20, 2000, 0.15, 0.01),
    "qnli": (104_743, 2, 8, 0.1, 2000, 8000, 100, 32, 512, 1.2e-3, 5, 500, 0.1, 0.01),
    "sst2": (67_349, 2, 8, 0.1, 6000, 22000, 100, 16, 128, 8e-4, 24, 1000, 0, 0.01),
    "cola": (8_551, 3, 4, 0.1, 800, 3500, 10, 32, 64, 8e-4, 25, 100, 0.1, 0),
    "mrpc": (3_668, 1, 8, 0.1, 600, 1800, 1, 32, 320, 1e-3, 30, 0.1, 0, 0.01),
    "rte": (2_490, 3, 4, 0.3, 600, 1800, 1, 32, 320, 1.2e-3, 50, 200, 0.2, 0.01),
    "stsb": (5_749, 1, 4, 0.3, 800, 2000, 10, 32, 128, 2.2e-3, 25, 100, 0.2, 0.1),
}


def test_spaces_and_suites_are_found() -> None:
    assert {path.stem for path in SPACES} >= {"quickstart", *GLUE_TASKS}
    assert len(SPACES) >= 9
    assert {path.stem for path in SUITES} >= {"quick"}


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_shipped_space_is_valid(path: Path) -> None:
    space = load_space(path.name)
    assert space.name == path.stem
    assert space.trials
    assert space.search


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_shipped_suite_is_valid(path: Path) -> None:
    assert load_suite(path.name).name == path.stem


@pytest.mark.parametrize("task", GLUE_TASKS)
def test_a_glue_space_comes_to_the_published_steps_on_all_sentences(task: str) -> None:
    size, target, rank, gamma, t_init, t_final, delta_t, alpha, length, lr, *rest = PUBLISHED[task]
    epochs, warmup, dropout, decay = rest
    space = load_space(task)
    total = math.ceil(size / space.training.batch_size) * epochs
    assert (space.task, space.training.epochs, space.training.batch_size) == (task, epochs, 32)
    adapter, training = space.adapter, space.training

    def steps(value: float) -> float:
        return value if isinstance(value, int) else value * total

    # Three digits of a fraction place a step to half a per cent.
    assert steps(adapter.t_init) == pytest.approx(t_init, rel=5e-3)
    assert steps(adapter.t_final) == pytest.approx(t_final, rel=5e-3)
    assert round(steps(adapter.delta_t)) == delta_t
    assert steps(training.warmup) == pytest.approx(
        warmup if warmup >= 1 else warmup * total, rel=5e-3
    )
    assert (adapter.target_rank, adapter.r, adapter.k, adapter.gamma) == (target, rank, 8, gamma)
    assert (adapter.lora_alpha, adapter.beta1, adapter.beta2) == (alpha, 0.85, 0.85)
    assert (training.lr, training.weight_decay) == (lr, decay)
    assert (space.data.max_length, space.model.classifier_dropout) == (length, dropout)


@pytest.mark.parametrize("task", GLUE_TASKS)
def test_a_glue_space_pins_its_model_and_searches_around_the_published_lr(task: str) -> None:
    space = load_space(task)
    assert space.model.name_or_path == "microsoft/deberta-v3-base"
    assert space.model.revision == "8ccc9b6f36199bec6961081d44eb72fb3f7353f3"
    searched = space.search["training.lr"]
    assert searched.low < space.training.lr < searched.high  # type: ignore[operator]


def test_the_quickstart_space_is_the_packaged_one_and_keeps_the_demos_promises() -> None:
    space = load_space("quickstart")
    assert (space.task, space.model.name_or_path) == ("sentiment", "minilm")
    assert space.trials and space.trials >= 8
    assert space.data.test_size == 1000
    assert (space.resources.cpus_per_trial, space.resources.concurrent) == (1, 2)
