from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lora2_search.config.run import RunConfig
from lora2_search.config.schema import ModelConfig
from lora2_search.errors import BaseChanged
from lora2_search.store.record import read_record
from lora2_search.training.events import Report
from lora2_search.training.loop.run import iterate, run
from lora2_search.training.models.load import check_base, checksum, checksums, load_base
from tests.support.methods import METHODS
from tests.training.test_run import comparable, settings

TYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


@given(st.sampled_from(TYPES), st.integers(1, 9000), st.integers(0, 10**9), st.integers(0, 10**9))
def test_one_flipped_bit_anywhere_shows(
    dtype: torch.dtype, size: int, place: int, seed: int
) -> None:
    tensor = torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(dtype)
    before = checksum(tensor)
    assert checksum(tensor.clone()) == before
    raw = tensor.view(torch.uint8)
    raw[place % raw.numel()] ^= 1 << (0 if dtype == torch.bool else place % 8)
    assert checksum(tensor) != before


CHANGES: dict[str, Callable[[Tensor], object]] = {
    "two values swapped": lambda w: w.view(-1)[[0, 70_000]].flip(0),
    "every sign": lambda w: w.neg_(),
    "two signs": lambda w: w.view(-1)[[3, 4]].neg_(),
    "rows in another order": lambda w: w.copy_(w.flip(0).clone()),
    "the least bit of all": lambda w: w.view(torch.int32).bitwise_xor_(1),
    "shifted by one": lambda w: w.copy_(w.roll(1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_that_keep_sums_show(change: str) -> None:
    weight = torch.randn(400, 400, generator=torch.Generator().manual_seed(0))
    before = checksum(weight)
    changed = CHANGES[change](weight)
    if change.startswith("two"):
        places = [0, 70_000] if "swapped" in change else [3, 4]
        weight.view(-1)[places] = changed
    assert checksum(weight) != before


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (65_536,), (65_537,), (2, 3, 5)])
def test_any_shape_and_layout_has_a_checksum(shape: tuple[int, ...]) -> None:
    tensor = torch.ones(shape, dtype=torch.bfloat16)
    assert checksum(tensor) == checksum(tensor.clone())
    matrix = torch.randn(6, 4)
    assert checksum(matrix.T) == checksum(matrix.T.contiguous()) != checksum(matrix)


def test_a_check_of_the_packaged_models_size_takes_milliseconds() -> None:
    model = torch.nn.ModuleList([torch.nn.Embedding(30_522, 384)])
    model.extend(torch.nn.Linear(1536, 384) for _ in range(18))
    checksums(model)
    start = time.process_time()
    checksums(model)
    assert time.process_time() - start < 1


class Vandal:
    """A reporter that writes into a weight of the shared model."""

    def __init__(self, config: RunConfig, at: int) -> None:
        self.config, self.at = config, at

    def report(self, report: Report) -> None:
        if report.interval == self.at:
            vandalise(self.config)


def vandalise(config: RunConfig, name: str = "query.weight") -> None:
    base = load_base(config.model, 2, False)
    with torch.no_grad():
        next(w for full, w in base.model.named_parameters() if name in full).view(-1)[0] += 1


@pytest.mark.parametrize("at", [1, 3, 4], ids=["first", "middle", "last"])
def test_a_run_that_writes_into_the_shared_model_fails_and_the_next_starts_from_the_files(
    at: int, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv)
    run(config, tmp_path / "before")
    bad = settings(tiny_bert, reviews_csv, seed=5)
    with pytest.raises(BaseChanged, match="layer.0.attention.self.query.weight changed"):
        run(bad, tmp_path / "bad", Vandal(bad, at))
    record = read_record(tmp_path / "bad")
    assert record is not None and record.status == "failed"
    assert record.error and "query.weight changed since it was loaded" in record.error
    run(config, tmp_path / "after")
    assert comparable(tmp_path / "after") == comparable(tmp_path / "before")
    # It goes on from the last state that was sound, and ends as a run that nobody disturbed.
    run(bad, tmp_path / "bad")
    run(bad, tmp_path / "sound")
    assert comparable(tmp_path / "bad") == comparable(tmp_path / "sound")


def test_a_run_that_fails_tells_too_that_it_changed_the_model(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, **{"training.lr": 1e30})
    steps = iterate(config, tmp_path)
    load_base(config.model, 2, False)
    vandalise(config, "word_embeddings")
    with pytest.raises(BaseChanged, match="word_embeddings.weight changed"):
        list(steps)
    record = read_record(tmp_path)
    assert record is not None and record.error and record.error.startswith("BaseChanged")


def test_a_buffer_counts_and_a_weight_that_is_gone(tiny_bert: Path) -> None:
    config = ModelConfig(name_or_path=str(tiny_bert))
    model = load_base(config, 2, False).model
    next(buffer for _, buffer in model.named_buffers()).view(-1)[0] += 1
    with pytest.raises(BaseChanged, match="position_ids"):
        check_base()
    check_base()  # the changed one is thrown away
    del load_base(config, 2, False).model.classifier
    with pytest.raises(BaseChanged, match="a weight that is gone"):
        check_base()


@pytest.mark.parametrize("method", METHODS)
def test_no_method_writes_into_the_shared_model(
    method: str, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, method=method)
    before = load_base(config.model, 2, False)
    run(config, tmp_path)
    assert load_base(config.model, 2, False) is before
