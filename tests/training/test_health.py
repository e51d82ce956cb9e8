from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lora2_search.config.run import RunConfig, setting_names
from lora2_search.store.record import Flag
from lora2_search.training.loop.health import Health, HealthState

norms_of_runs = st.lists(
    st.one_of(st.floats(0, 1e3, width=32), st.sampled_from([1.0, 50.0])), min_size=1, max_size=160
)


def note(health: Health, step: int, excess: float = -1.0, norm: float | None = 1.0) -> None:
    length = None if norm is None else torch.tensor(norm)
    health.stepped(step, torch.tensor(excess), length)


def flags(health: Health, **changes: Any) -> dict[str, Flag]:
    given = {"clipped": True, "peak_mb": 1.0, "memory_mb": 100.0, **changes}
    return {flag.name: flag for flag in health.flags(**given)}


def watched(norms: list[float], look_after: Callable[[int], bool]) -> Health:
    health = Health()
    for step, norm in enumerate(norms, start=1):
        note(health, step, norm=norm)
        if look_after(step):
            health.look()
    health.look()
    return health


def test_a_quiet_run_has_no_flag() -> None:
    assert flags(watched([1.0] * 50, lambda step: step % 10 == 0)) == {}
    assert flags(Health()) == {}


@pytest.mark.parametrize(("dominated", "flagged"), [(0, False), (10, False), (11, True)])
def test_regularisers_are_flagged_above_a_tenth_of_the_steps(dominated: int, flagged: bool) -> None:
    health = Health()
    for step in range(1, 101):
        note(health, step, excess=0.25 if step <= dominated else -0.25)
    note(health, 101, excess=0.0)  # equal is not above
    health.look()
    assert ("regulariser" in flags(health)) is flagged


@given(norms=norms_of_runs, every=st.integers(1, 40))
def test_spikes_are_those_above_ten_times_the_median_of_the_last_101(
    norms: list[float], every: int
) -> None:
    expected = []
    for at, norm in enumerate(norms):
        before = norms[max(0, at - 101) : at]
        usual = float(np.median(before)) if len(before) >= 20 else 0.0
        if usual > 0 and norm > 10 * usual:
            expected.append((norm / usual, at + 1))
    told = flags(watched(norms, lambda step: step % every == 0)).get("gradient")
    assert (told is not None) is bool(expected)
    if told is not None:
        highest, step = max(expected, key=lambda item: (item[0], -item[1]))
        assert f"in {len(expected)} step(s), at most {highest:.1f} times" in told.detail
        assert f"(step {step})" in told.detail


@pytest.mark.parametrize(
    ("clipped", "setting"), [(True, "training.lr"), (False, "training.max_grad_norm")]
)
def test_a_gradient_that_is_not_finite_names_its_first_step_and_what_to_turn(
    clipped: bool, setting: str
) -> None:
    health = watched([1.0, 2.0, math.inf, math.nan], lambda step: False)
    told = flags(health, clipped=clipped)["gradient"]
    assert told.detail == "the gradient was not finite at step 3"
    assert told.setting == setting


def test_a_step_that_the_scaler_skipped_has_no_gradient_to_judge() -> None:
    health = Health()
    for step in range(1, 31):
        note(health, step, excess=1.0, norm=None)
    health.look()
    assert list(flags(health)) == ["regulariser"]


@pytest.mark.parametrize(
    ("scores", "ranks", "flagged"),
    [
        ([0.80, 0.75], [48, 24], True),
        ([0.80, 0.75], [48, 48], False),  # nothing was cut in between
        ([0.80, 0.76], [48, 24], False),  # exactly twice the noise
        ([0.80, 0.85], [48, 24], False),
        ([0.70], [24], False),  # nothing to compare with
        ([0.80, 0.78, 0.70], [48, 24, 24], False),
        ([0.80, 0.75, 0.80], [48, 24, 12], True),  # it stays, though the score came back
    ],
)
def test_a_score_is_compared_with_the_one_before_where_ranks_were_cut(
    scores: list[float], ranks: list[int], flagged: bool
) -> None:
    health = Health()
    for index, (score, kept) in enumerate(zip(scores, ranks, strict=True)):
        health.evaluated(10 * index + 10, score, kept, lambda: 0.0200000001)
    found = flags(health)
    assert ("score-drop" in found) is flagged
    if flagged:
        assert "fell by 0.0500" in found["score-drop"].detail
        assert "between steps 10 and 20, where ranks were cut from 48 to 24" in (
            found["score-drop"].detail
        )


def test_noise_is_asked_for_only_where_a_score_fell_over_a_cut() -> None:
    asked = []

    def noise() -> float:
        asked.append(1)
        return 1.0

    health = Health()
    for step, (score, kept) in enumerate([(0.8, 48), (0.7, 48), (0.9, 24), (0.8, 12)]):
        health.evaluated(step, score, kept, noise)
    assert len(asked) == 1


@pytest.mark.parametrize(("peak", "flagged"), [(90.0, False), (91.0, True)])
def test_memory_is_flagged_above_nine_tenths(peak: float, flagged: bool) -> None:
    found = flags(Health(), peak_mb=peak, memory_mb=100.0)
    assert ("memory" in found) is flagged
    if flagged:
        assert found["memory"].detail == "the run took 91 of 100 MiB (91%)"


def test_every_flag_names_a_setting_that_exists() -> None:
    health = watched([1.0] * 30 + [100.0], lambda step: False)
    for step in range(100):
        note(health, step, excess=1.0)
    health.look()
    health.evaluated(1, 0.9, 48, lambda: 0.0)
    health.evaluated(2, 0.1, 24, lambda: 0.0)
    known = set(setting_names(RunConfig))
    for clipped in (True, False):
        found = flags(health, clipped=clipped, peak_mb=99.0)
        assert sorted(found) == ["gradient", "memory", "regulariser", "score-drop"]
        assert {flag.setting for flag in found.values()} <= known


@given(norms=norms_of_runs, data=st.data())
def test_a_watch_saved_and_taken_up_goes_on_as_if_it_had_never_stopped(
    norms: list[float], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(norms)))
    whole, before = Health(), Health()
    for health, part in ((whole, norms), (before, norms[:cut])):
        for step, norm in enumerate(part, start=1):
            note(health, step, excess=norm - 1, norm=norm)
            if step == cut:
                health.look()
                health.evaluated(step, 0.9, 48, lambda: 0.01)
        health.look()
    after = Health()
    after.load_state(HealthState(**json.loads(json.dumps(asdict(before.state())))))
    for step, norm in enumerate(norms[cut:], start=cut + 1):
        note(after, step, excess=norm - 1, norm=norm)
    after.look()
    for health in (whole, after):
        health.evaluated(len(norms) + 1, 0.5, 24, lambda: 0.01)
    assert after.state() == whole.state()
    assert flags(after) == flags(whole)


def test_noting_a_step_reads_nothing_from_the_device() -> None:
    # A meta tensor has no value: whoever asked for it would fail.
    Health().stepped(1, torch.zeros((), device="meta"), torch.zeros((), device="meta"))
