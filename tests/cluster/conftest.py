from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.afterwards import searched
from tests.support.ray_here import ray_here, workers_find_tests
from tests.support.stores import fresh_store, home_with_store

__all__ = ["fresh_store", "home_with_store", "ray_here", "workers_find_tests"]

# Ray gives a raylet ten seconds to come up, which a busy machine does not keep.
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")


@pytest.fixture
def space(tiny_bert: Path, reviews_csv: Path, tmp_path: Path) -> Path:
    """A search of three trials, each of some minutes if nothing ends it."""
    return searched(tmp_path, tiny_bert, reviews_csv, steps=960, evaluations=32)


@pytest.fixture
def cluster(request: pytest.FixtureRequest, workers_find_tests: None) -> Iterator[Any]:
    """Two Ray nodes of one CPU each, or as many as the parameter says, on this machine."""
    import ray
    from ray.cluster_utils import Cluster

    assert not ray.is_initialized()
    cpus = getattr(request, "param", 1)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus})
    made.add_node(num_cpus=cpus)
    yield made
    made.shutdown()
