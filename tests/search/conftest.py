from __future__ import annotations

from tests.support.ray_here import ray_here, workers_find_tests

__all__ = ["ray_here", "workers_find_tests"]
