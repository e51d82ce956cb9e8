from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lora2_search.tracking.uri import DATABASE, prepare


@pytest.fixture(scope="session")
def fresh_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: making one takes seconds, copying it none."""
    path = tmp_path_factory.mktemp("store") / DATABASE
    prepare(f"sqlite:///{path}")
    return path


@pytest.fixture
def home_with_store(own_home: Path, fresh_store: Path) -> Path:
    """A home whose tracking store is ready."""
    shutil.copy(fresh_store, own_home / DATABASE)
    return own_home
