from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = str(Path(__file__).parents[2])


@pytest.fixture(scope="session")
def workers_find_tests() -> Iterator[None]:
    """Ray's processes import the stand-ins by name."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, before]))
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def ray_here(workers_find_tests: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray for the fast tests of a file: starting it takes seconds."""
    from lora2_search.execution.cluster import connect

    with connect(None, tmp_path_factory.mktemp("ray")):
        yield
