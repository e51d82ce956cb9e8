from __future__ import annotations

import numpy as np
import pytest

from lora2_search.stats.pareto import hypervolume, non_dominated


def test_a_front_holds_what_no_other_point_beats() -> None:
    points = [(1, 5), (2, 4), (2, 5), (3, 3), (1, 5), (4, 4)]
    assert non_dominated(points) == [0, 1, 3, 4]


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_the_hypervolume_is_the_share_of_random_points_that_are_dominated(dimensions: int) -> None:
    generator = np.random.default_rng(dimensions)
    points = generator.random((12, dimensions))
    inside = generator.random((200_000, dimensions))
    dominated = (points[:, None, :] <= inside[None]).all(axis=2).any(axis=0).mean()
    exact = hypervolume([tuple(point) for point in points], [1.0] * dimensions)
    assert exact == pytest.approx(dominated, abs=0.005)


def test_points_beyond_the_reference_count_nothing() -> None:
    assert hypervolume([(2, 0.5), (0.5, 0.5)], (1, 1)) == pytest.approx(0.25)
    assert hypervolume([], (1, 1)) == 0
