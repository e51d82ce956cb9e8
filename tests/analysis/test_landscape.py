from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora2_search.analysis.landscape import (
    SettingAxis,
    contour,
    importances,
    parallel_lines,
    setting_axes,
    setting_slice,
)
from lora2_search.analysis.study import StudyTable, read_study_table
from tests.support.studies import State, write_trials


def plane(lr: float, k: float) -> float:
    """A score that is linear in both settings, each on its own scale."""
    return 0.5 + 0.1 * np.log10(lr / 1e-4) + 0.01 * k


def study_of(folder: Path, points: list[tuple[float, int]], **more: Any) -> StudyTable:
    trials = [
        {"params": {"training.lr": lr, "adapter.k": k}, "values": [plane(lr, k)], **more}
        for lr, k in points
    ]
    return read_study_table(write_trials(folder, trials))


CORNERS = [(1e-4, 1), (1e-4, 16), (1e-1, 1), (1e-1, 16)]


def test_an_axis_places_values_on_its_own_scale() -> None:
    log = SettingAxis("training.lr", 1e-4, 1e-1, log=True)
    assert log.place(1e-2) == pytest.approx(2 / 3)
    assert log.at(log.place(3e-3)) == pytest.approx(3e-3)
    names = SettingAxis("method", 0, 1, choices=("lora", "lora2"))
    assert names.coordinate("lora2") == 1 and names.place(1) == 1
    assert SettingAxis("adapter.k", 0, 1, choices=("4", "8")).coordinate(8) == 1


def test_axes_follow_the_space_and_slices_hold_complete_trials_alone(tmp_path: Path) -> None:
    table = read_study_table(
        write_trials(
            tmp_path,
            [
                {"params": {"training.lr": 1e-2, "adapter.k": 2}, "values": [0.6]},
                {"state": State.PRUNED, "values": [0.9]},
                {"params": {"training.lr": 1e-3}, "values": [0.7]},
            ],
        )
    )
    axes = setting_axes(table)
    assert [(axis.name, axis.low, axis.high, axis.log) for axis in axes] == [
        ("adapter.k", 1, 16, False),
        ("training.lr", 1e-4, 1e-1, True),
    ]
    assert [(p.number, p.coordinate, p.score) for p in setting_slice(table, axes[0])] == [
        (0, 2, 0.6)
    ]
    lines = parallel_lines(table, axes)
    assert [(line.number, line.state, line.score) for line in lines] == [
        (0, "COMPLETE", 0.6),
        (1, "PRUNED", None),
        (2, "COMPLETE", 0.7),
    ]
    assert lines[0].places == pytest.approx((1 / 15, 2 / 3)) and lines[2].places[0] is None


def test_a_contour_is_exact_for_a_plane_and_silent_outside_the_trials(tmp_path: Path) -> None:
    table = study_of(tmp_path, CORNERS[:3] + [(1e-3, 4)])
    k, lr = setting_axes(table)
    found = contour(table, lr, k)
    assert found is not None and found.scores.shape == (len(found.rows), len(found.columns))
    known = np.isfinite(found.scores)
    expected = np.array([[plane(x, y) for x in found.columns] for y in found.rows])
    assert found.scores[known] == pytest.approx(expected[known])
    # The fourth corner was never tried: the triangle opposite to it holds no number.
    assert np.isnan(found.scores[-1, -1]) and 0.4 < known.mean() < 0.6


@pytest.mark.parametrize("points", [CORNERS[:3], [(1e-4, 1), (1e-3, 6), (1e-2, 11), (1e-1, 16)]])
def test_too_few_trials_and_trials_in_a_line_have_no_contour(
    tmp_path: Path, points: list[tuple[float, int]]
) -> None:
    table = study_of(tmp_path, points)
    k, lr = setting_axes(table)
    assert contour(table, lr, k) is None


def test_nothing_is_interpolated_between_choices(tmp_path: Path) -> None:
    table = study_of(tmp_path, CORNERS)
    _, lr = setting_axes(table)
    names = SettingAxis("adapter.k", 0, 2, choices=("1", "8", "16"))
    found = contour(table, lr, names)
    assert found is not None and np.isnan(found.scores[1]).all()
    assert found.scores[0] == pytest.approx([plane(x, 1) for x in found.columns])
    turned = contour(table, names, lr)
    assert turned is not None
    np.testing.assert_allclose(turned.scores, found.scores.T)


def test_importances_sum_to_one_or_say_how_many_trials_they_lack(tmp_path: Path) -> None:
    few = importances(study_of(tmp_path / "few", CORNERS[:3]).study)
    assert (few.missing, dict(few.shares)) == (1, {})
    found = importances(study_of(tmp_path / "more", CORNERS + [(1e-2, 5), (1e-3, 9)]).study)
    assert sum(found.shares.values()) == pytest.approx(1) and not found.missing
    assert list(found.shares) == ["training.lr", "adapter.k"]
    flat = importances(study_of(tmp_path / "flat", [(1e-2, 4)] * 5).study)
    assert flat.varied == () and flat.level and not flat.shares
