from __future__ import annotations

from pathlib import Path

import pytest
from peft import get_peft_model
from transformers import AutoModelForSequenceClassification

from lora2_search.adapter.config import Lora2Config
from lora2_search.errors import ConfigError, UserError
from lora2_search.training.export.adapter import save_adapter
from lora2_search.training.models.sizes import SHIPPED, adapter_sizes

DEBERTA = "microsoft/deberta-v3-base"


@pytest.mark.parametrize(
    ("k", "r", "adapter", "scored", "share", "saved"),
    [
        (8, 8, 1_336_896, 9_792, "0.72", "99.27"),
        (8, 16, 1_346_688, 19_584, "0.73", "98.55"),
        (1, 1, 166_104, 216, "0.09", "99.87"),
    ],
)
def test_the_method_s_table_comes_out_to_the_last_digit_offline(
    k: int, r: int, adapter: int, scored: int, share: str, saved: str
) -> None:
    sizes = adapter_sizes(DEBERTA, k, r)
    assert (sizes.model, sizes.adapter, sizes.scored_full) == (184_423_682, adapter, adapter)
    assert sizes.scored_reduced == scored
    assert (sizes.head, sizes.heads) == (592_130, ("pooler", "classifier"))
    assert (f"{100 * sizes.share:.2f}", f"{100 * sizes.saved:.2f}") == (share, saved)


# As counted from the weights on the hub, two labels (RoBERTa), and from the packaged file (MiniLM).
@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (DEBERTA, 184_423_682),
        ("roberta-large", 355_361_794),
        ("FacebookAI/roberta-large", 355_361_794),
        ("minilm", 22_713_986),
    ],
)
def test_shipped_configurations_describe_the_models_they_are_named_after(
    model: str, parameters: int
) -> None:
    assert adapter_sizes(model, 1, 1).model == parameters


def test_every_shipped_configuration_is_a_file_of_the_package() -> None:
    assert SHIPPED and all(path.is_file() for path in SHIPPED.values())


@pytest.mark.parametrize("widths", [[], [5], [16, 8], [2, 16, 3]])
def test_kinds_hold_what_their_shapes_and_widths_ask_for_and_add_up(widths: list[int]) -> None:
    r = 4
    sizes = adapter_sizes("minilm", widths, r)
    for kind in sizes.kinds:
        sides = [[d, *widths, r] for d in kind.shape]
        planes = sum(a * b for side in sides for a, b in zip(side, side[1:], strict=False))
        innermost = sum(side[-2] * r for side in sides)
        assert kind.matrices == 6
        assert kind.adapter == kind.scored_full == 6 * (planes + r)
        assert kind.scored_reduced == 6 * (innermost + r)
    assert sum(kind.adapter for kind in sizes.kinds) == sizes.adapter
    assert sum(kind.scored_reduced for kind in sizes.kinds) == sizes.scored_reduced
    assert {kind.name: kind.shape for kind in sizes.kinds}["intermediate.dense"] == (1536, 384)


def test_the_compressed_count_is_a_plain_lora_of_the_smallest_width() -> None:
    assert adapter_sizes(DEBERTA, 8, 16).compressed == 8 * 12 * (4 * 1536 + 2 * 3840)


@pytest.mark.parametrize("k", [3, [4, 2], []])
def test_the_file_is_as_large_as_the_one_that_a_run_saves(
    k: int | list[int], tiny_bert: Path, tmp_path: Path
) -> None:
    sizes = adapter_sizes(str(tiny_bert), k, 2, labels=3)
    base = AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=3)
    config = Lora2Config(
        task_type="SEQ_CLS",
        k=k,
        r=2,
        target_modules=["query", "key", "value", "intermediate.dense", "output.dense"],
        modules_to_save=["pooler", "classifier"],
    )
    save_adapter(get_peft_model(base, config), tmp_path)
    assert sizes.file_bytes == (tmp_path / "adapter_model.safetensors").stat().st_size


def test_target_modules_and_labels_are_the_users() -> None:
    sizes = adapter_sizes("minilm", 8, 8, ["query", "value"], labels=5)
    assert [kind.name for kind in sizes.kinds] == ["attention.self.query", "attention.self.value"]
    assert sizes.head == 148_610 + 3 * 385


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"k": 0}, UserError, "`k` must be at least 1, but got 0"),
        ({"r": 0}, UserError, "`r` must be at least 1, but got 0"),
        ({"target_modules": ["quary"]}, UserError, "target"),
        ({"model": "/nowhere/model"}, ConfigError, "no folder /nowhere/model"),
        ({"model": "nobody/nothing"}, UserError, "cannot read the configuration of nobody/nothing"),
    ],
)
def test_what_cannot_be_counted_is_told_in_words(
    changes: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        adapter_sizes(**{"model": "minilm", "k": 8, "r": 8, **changes})  # type: ignore[arg-type]
