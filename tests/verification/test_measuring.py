from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lora2_search.training.loop.prepare import prepare
from lora2_search.verification.measurements import Measurements
from lora2_search.verification.measuring import measure
from lora2_search.verification.plan import CHECKS, Part, Plan
from lora2_search.verification.probes.watch import ProbedMethod, Watch, evenly


class Kept:
    """A probe that keeps the weights after the last step."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.weights: dict[str, torch.Tensor] = {}

    def step(self, step: int) -> None:
        pass

    def result(self) -> Measurements:
        named = self.watch.model.named_parameters()
        self.weights = {n: p.detach().clone() for n, p in named if p.requires_grad}
        return Measurements()


def test_probes_change_nothing_in_the_run_they_look_at(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Kept] = []

    def keeping(watch: Watch) -> Kept:
        kept.append(Kept(watch))
        return kept[-1]

    monkeypatch.setitem(measure.__globals__["_ALONE"], "kept", keeping)
    probes = ("planes", "agreement", "truth", "merge", "compress", "growth", "score", "kept")
    measure(plan, Part("pruned", 100, probes))
    trainer = prepare(plan.run_config("pruned", 100)).trainer
    list(trainer.advance(0, trainer.plan.total))
    alone = {n: p for n, p in trainer.progress.model.named_parameters() if p.requires_grad}
    assert alone.keys() == kept[0].weights.keys()
    assert all(torch.equal(alone[name], weight) for name, weight in kept[0].weights.items())


def test_shadow_reduced_scoring_draws_the_runs_own_masks(plan: Plan) -> None:
    """The probe's own scoring against the allocator's: the same averages, so the same masks."""
    from lora2_search.adapter.allocation import survivors
    from lora2_search.verification.probes.shadows import Shadows

    watch = Watch(plan, 100, prepare(plan.run_config("pruned", 100)))
    shadows, schedule = Shadows(watch), watch.schedule()
    seen = []

    class Compare:
        def step(self, step: int) -> None:
            if schedule.scores_at(step):
                shadows.update(step)

        def result(self) -> Measurements:
            return Measurements()

    trainer = watch.prepared.trainer
    inner = trainer.progress.adaptive
    trainer.progress.adaptive = ProbedMethod(inner, [Compare()])
    for step in range(1, watch.total + 1):
        list(trainer.advance(step - 1, step))
        if schedule.masks_at(step):
            mask = survivors(shadows.scores()["reduced"], schedule.budget(step))
            seen.append(torch.equal(mask, inner.allocator_state()["mask"]))
    assert seen and all(seen)


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_asks_for_probes_that_exist(check: str, plan: Plan) -> None:
    parts = replace(plan, checks=(check,), seeds=(100,)).parts()
    for part in parts:
        assert measure(plan, part).holds(part.probes)


def test_a_diverged_run_says_why_and_what_it_counts_as(plan: Plan) -> None:
    from lora2_search.config.run import with_settings

    wild = {"training.lr": 1e20, "training.max_grad_norm": None, "training.warmup": 0}
    broken = replace(plan, config=with_settings(plan.config, wild))
    found = measure(broken, Part("unpruned", 100, ("planes", "score")))
    assert found.diverged is not None and "no longer finite" in found.diverged
    assert found.majority is not None and 0 < found.majority < 1


def test_looks_are_spread_from_the_first_to_the_last_step() -> None:
    assert evenly(0, 63, 4) == [0, 21, 42, 63]
    assert evenly(5, 7, 12) == [5, 6, 7]
    assert evenly(5, 5, 12) == [5]
    assert evenly(3, 9, 1) == [9]
