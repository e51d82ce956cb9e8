from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lora2_search.config.schema import ModelConfig
from lora2_search.training.models.files import model_files, model_hash


@pytest.fixture
def model(tiny_bert: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_bert, tmp_path / "model")


def hash_of(folder: Path, **more: object) -> str:
    return model_hash(model_files(ModelConfig(name_or_path=str(folder), **more)))  # type: ignore[arg-type]


def _last_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


OTHER: dict[str, Callable[[Path], object]] = {
    "a weight": lambda folder: _last_bit(folder / "model.safetensors"),
    "its shape": lambda folder: _last_bit(folder / "config.json"),
    "its tokenizer": lambda folder: _last_bit(folder / "tokenizer.json"),
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
}
SAME: dict[str, Callable[[Path], object]] = {
    "a read-me": lambda folder: (folder / "README.md").write_text("x"),
    "weights of another format": lambda folder: (folder / "pytorch_model.bin").write_text("x"),
    "a later time": lambda folder: (folder / "config.json").touch(),
    "another place": lambda folder: shutil.copytree(folder, folder / "other"),
    "code that is not trusted": lambda folder: (folder / "modeling.py").write_text("x"),
}


@pytest.mark.parametrize("change", OTHER)
def test_the_hash_follows_the_files_that_are_loaded(change: str, model: Path) -> None:
    before = hash_of(model)
    OTHER[change](model)
    assert hash_of(model) != before


@pytest.mark.parametrize("change", SAME)
def test_the_hash_depends_on_nothing_else(change: str, model: Path, tiny_bert: Path) -> None:
    SAME[change](model)
    assert hash_of(model) == hash_of(tiny_bert)


def test_code_that_is_trusted_is_loaded_too(model: Path) -> None:
    before = hash_of(model, trust_remote_code=True)
    (model / "modeling.py").write_text("x")
    assert hash_of(model, trust_remote_code=True) != before


def test_weights_in_parts_are_hashed_each(model: Path) -> None:
    (model / "model.safetensors").rename(model / "model-00001-of-00001.safetensors")
    (model / "model.safetensors.index.json").write_text("{}")
    found = model_files(ModelConfig(name_or_path=str(model)))
    assert {"model-00001-of-00001.safetensors", "model.safetensors.index.json"} <= found.keys()


def test_a_model_of_the_hub_that_is_not_in_the_cache_is_unknown() -> None:
    assert hash_of(Path("somebody/nothing")) == ""
