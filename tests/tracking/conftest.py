"""Fixtures of the tracking tests; what they are made of is in ``study.py``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lora2_search.tracking.spool.observer import SpoolObserver
from lora2_search.tracking.uri import prepare
from tests.support.mlflow_study import Stored, parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "studies" / "demo"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make MLflow's database once: its migrations take seconds, a copy takes none."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    prepare(f"sqlite:///{path}")
    return path


@pytest.fixture
def uri(tmp_path: Path, empty_database: Path) -> str:
    (tmp_path / "store").mkdir()
    shutil.copy(empty_database, tmp_path / "store")
    return f"sqlite:///{tmp_path}/store/mlflow.db"


@pytest.fixture
def observer(folder: Path) -> SpoolObserver:
    return SpoolObserver(folder, parent())


@pytest.fixture
def stored(uri: str) -> Stored:
    return Stored(uri)
