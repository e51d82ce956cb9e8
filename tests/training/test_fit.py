"""Models that do not fit: each is refused, in words, before a run has begun."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from lora2_search import api
from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.schema import ModelConfig
from lora2_search.errors import ConfigError
from lora2_search.experiments.preflight import check_inputs
from lora2_search.training.loop.prepare import check_loading
from lora2_search.training.models.headers import architecture, zeroed_weights
from lora2_search.training.models.load import _half_zero, load_base

Damage = Callable[[Path], None]


def config(model: Path, table: Path, **more: Any) -> RunConfig:
    return RunConfig.model_validate(
        {
            "task": "custom",
            "data": {"path": str(table), "text": ["review"], "label": "verdict"},
            "model": {"name_or_path": str(model)},
            "training": {"steps": 2, "evaluations": 1, "batch_size": 8},
            **more,
        }
    )


def weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "model.safetensors"
        state = change({name: tensor.clone() for name, tensor in load_file(path).items()})
        save_file(state, path, metadata={"format": "pt"})

    return damage


def told(name: str = "config.json", **changes: Any) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def replaced(name: str, content: bytes | None) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)

    return damage


def halved(name: str) -> Damage:
    def damage(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return damage


def as_pickle(change: Callable[[bytes], bytes], prefix: str = "") -> Damage:
    def damage(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        path = folder / "pytorch_model.bin"
        torch.save({prefix + name: tensor for name, tensor in state.items()}, path)
        path.write_bytes(change(path.read_bytes()))

    return damage


def in_shards(lose: str) -> Damage:
    def damage(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        where = {}
        for number, part in enumerate(("embeddings", "encoder", "pooler")):
            name = f"model-{number}.safetensors"
            held = {key: tensor for key, tensor in state.items() if key.startswith(part)}
            save_file(held, folder / name, metadata={"format": "pt"})
            where |= dict.fromkeys(held, name)
        index = {"metadata": {}, "weight_map": where}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        if lose:
            (folder / lose).unlink()

    return damage


def prefixed(prefix: str) -> Damage:
    return weights(lambda state: {prefix + name: tensor for name, tensor in state.items()})


def with_nan(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    state["encoder.layer.1.output.dense.weight"][3, 4] = float("nan")
    return state


def zeroed(*names: str) -> Damage:
    """Only zeros in some weights, as a broken copy onto space set aside leaves at its end."""
    return weights(
        lambda state: {
            n: torch.zeros_like(t) if n.startswith(names) else t for n, t in state.items()
        }
    )


def partly_zeroed(name: str, first: float, last: float) -> Damage:
    """Zeros in a span of one weight, as a lost block of a file leaves them."""

    def change(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        flat = state[name].clone().flatten()
        flat[round(first * len(flat)) : round(last * len(flat))] = 0
        return {**state, name: flat.reshape(state[name].shape)}

    return weights(change)


def twenty_words(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name = "embeddings.word_embeddings.weight"
    return {**state, name: state[name][:20].clone()}


def one_segment(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name = "embeddings.token_type_embeddings.weight"
    return {**state, name: state[name][:1].clone()}


def both(*damages: Damage) -> Damage:
    def damage(folder: Path) -> None:
        for one in damages:
            one(folder)

    return damage


def without(part: str) -> Damage:
    return weights(lambda state: {n: t for n, t in state.items() if not n.startswith(part)})


def gone(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


WORDS = "embeddings.word_embeddings.weight"
GARBAGE = bytes(range(256)) * 8
HEADERS: dict[str, tuple[Damage, str]] = {
    "weights absent": (gone("model.safetensors"), "holds no weights"),
    "weights empty": (replaced("model.safetensors", b""), "model.safetensors is damaged"),
    "weights half": (halved("model.safetensors"), "model.safetensors is damaged"),
    "weights garbage": (replaced("model.safetensors", GARBAGE), "model.safetensors is damaged"),
    "weights a folder": (replaced("model.safetensors", None), "model.safetensors is damaged"),
    "pickle empty": (as_pickle(lambda data: b""), "pytorch_model.bin is damaged"),
    "pickle half": (as_pickle(lambda data: data[: len(data) // 2]), "pytorch_model.bin is damaged"),
    "pickle garbage": (as_pickle(lambda data: GARBAGE), "pytorch_model.bin is damaged"),
    "shard lost": (in_shards("model-1.safetensors"), "which is missing"),
    "index garbage": (
        both(gone("model.safetensors"), replaced("model.safetensors.index.json", b"{")),
        "index.json is damaged",
    ),
    "a layer of zeros": (
        zeroed("encoder.layer.1."),
        "model.safetensors is damaged: zeros fill at least half of encoder.layer.1.attention."
        "output.LayerNorm.weight and of 7 more weights; copy or download the model again",
    ),
    "a norm of zeros": (zeroed("embeddings.LayerNorm.weight"), "of embeddings.LayerNorm.weight;"),
    "words of zeros": (zeroed("embeddings.word"), "of embeddings.word_embeddings.weight; copy"),
    "half the words": (partly_zeroed(WORDS, 0.0, 0.5), f"at least half of {WORDS}; copy"),
    "the other half": (partly_zeroed(WORDS, 0.5, 1.0), f"at least half of {WORDS}; copy"),
    "a hole in a matrix": (
        partly_zeroed("encoder.layer.0.output.dense.weight", 0.2, 0.8),
        "at least half of encoder.layer.0.output.dense.weight; copy",
    ),
    "positions of zeros": (
        zeroed("embeddings.position"),
        "at least half of embeddings.position_embeddings.weight; copy",
    ),
    "a shard of zeros": (
        both(zeroed("encoder.layer.0.output.dense"), in_shards("")),
        "model-1.safetensors is damaged: zeros fill at least half of encoder.layer.0.output.dense.",
    ),
    "config empty": (replaced("config.json", b""), "config.json is damaged"),
    "config half": (halved("config.json"), "config.json is damaged"),
    "config garbage": (replaced("config.json", GARBAGE), "config.json is damaged"),
    "config a list": (replaced("config.json", b"[1]"), "must be a JSON object"),
    "tokenizer absent": (gone("tokenizer.json"), "holds no tokenizer"),
    "tokenizer empty": (replaced("tokenizer.json", b""), "tokenizer.json is damaged"),
    "tokenizer half": (halved("tokenizer.json"), "tokenizer.json is damaged"),
    "prefix module": (prefixed("module."), "there as module.embeddings.word_embeddings.weight"),
    "prefix of another type": (prefixed("roberta."), "there as roberta.embeddings"),
    "prefix in a pickle": (as_pickle(lambda data: data, "_orig_mod."), "there as _orig_mod."),
    "another model's": (without("embeddings"), "would not load"),
    "layers missing": (without("encoder.layer.1."), "hold no weights of layer 1"),
    "more layers said": (told(num_hidden_layers=4), "hold no weights of layer 2"),
    "fewer layers said": (
        told(num_hidden_layers=1),
        "says 1 layer, but its files hold 2; they belong to different models (to use only the "
        "first 1, set model.layers to 1)",
    ),
    "fewer layers said of a pickle": (
        both(told(num_hidden_layers=1), as_pickle(lambda data: data)),
        "says 1 layer, but its files hold 2",
    ),
    "wider said": (told(hidden_size=64), "width 64, but the embeddings in its files have 32"),
    "vocabulary said": (told(vocab_size=99), "vocab_size 99, but"),
    "vocabulary too small": (
        both(weights(twenty_words), told(vocab_size=20)),
        "tokens up to number 27, but the model has embeddings for 0 to 19",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_files_that_do_not_fit_are_told_from_their_headers(
    name: str, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    damage, words = HEADERS[name]
    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    damage(folder)
    with pytest.raises(ConfigError) as caught:
        check_inputs(config(folder, reviews_csv))
    assert words in str(caught.value)
    assert {problem.key for problem in caught.value.problems} == {"model.name_or_path"}


LOADED: dict[str, tuple[Damage, str]] = {
    "a type that nobody knows": (told(model_type="nonsense"), "cannot be loaded"),
    "a width in words": (told(hidden_size="thirty"), "cannot be loaded"),
    "another inner width": (told(intermediate_size=99), "in another shape"),
    "a matrix lost": (without("encoder.layer.0.output.dense"), "lack 2 of the model's weights"),
    "not a number": (weights(with_nan), "NaN or infinity, in bert.encoder.layer.1.output"),
    "a pickle with zeros": (
        both(zeroed("encoder.layer.1."), as_pickle(lambda data: data)),
        "zeros fill at least half of bert.encoder.layer.1.attention.self.query.weight and of 7",
    ),
    "a pickle with a hole": (
        both(
            partly_zeroed("encoder.layer.1.output.dense.weight", 0.5, 1.0),
            as_pickle(lambda data: data),
        ),
        "zeros fill at least half of bert.encoder.layer.1.output.dense.weight; copy",
    ),
    "one kind of segment": (
        both(
            weights(one_segment),
            told(type_vocab_size=1),
            told("tokenizer_config.json", model_input_names=["input_ids", "token_type_ids"]),
        ),
        "cannot read a sentence",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOADED)
def test_what_only_loading_shows_is_told_before_a_run_begins(
    name: str, tiny_bert: Path, reviews_csv: Path, tmp_path: Path, own_home: Path
) -> None:
    damage, words = LOADED[name]
    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    damage(folder)
    table = pd.read_csv(reviews_csv).assign(other="it is good")
    table.to_csv(tmp_path / "pairs.csv", index=False)
    pairs = {"path": str(tmp_path / "pairs.csv"), "text": ["review", "other"], "label": "verdict"}
    with pytest.raises(ConfigError) as caught:
        api.train(config(folder, reviews_csv, data=pairs, method="head-only"))
    assert words in str(caught.value)
    assert not (own_home / "runs").exists()


@pytest.mark.parametrize("form", ["shards", "pickle"])
def test_shards_and_pickles_that_are_whole_are_taken(
    form: str, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    (in_shards("") if form == "shards" else as_pickle(lambda data: data))(folder)
    check_inputs(config(folder, reviews_csv))
    check_loading(config(folder, reviews_csv))


def test_fewer_layers_than_the_files_hold_are_taken_where_they_are_asked_for(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    told(num_hidden_layers=1)(folder)
    check_inputs(with_settings(config(folder, reviews_csv), {"model.layers": 1}))


def test_heads_biases_kinds_of_segment_and_layers_that_are_not_used_may_be_zero(
    three_classes: Path, reviews_csv: Path
) -> None:
    zeroed("classifier", "bert.pooler", "bert.embeddings.token_type", "bert.encoder.layer.1.")(
        three_classes
    )
    weights(
        lambda state: {
            n: torch.zeros_like(t) if n.endswith("bias") else t for n, t in state.items()
        }
    )(three_classes)
    chosen = config(three_classes, reviews_csv)
    chosen = with_settings(chosen, {"model.layers": 1})
    check_inputs(chosen)
    check_loading(chosen)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [(WORDS, 0.0, 0.45), (WORDS, 0.55, 1.0), ("encoder.layer.0.output.dense.weight", 0.3, 0.7)],
)
def test_rows_of_zeros_that_fill_less_than_half_are_taken(
    name: str, first: float, last: float, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    partly_zeroed(name, first, last)(folder)
    check_inputs(config(folder, reviews_csv))
    check_loading(config(folder, reviews_csv))


@pytest.mark.parametrize(
    ("first", "last", "damaged"),
    [
        (0, 100_000, True),
        (0, 50_000, True),
        (50_000, 100_000, True),
        (21_000, 71_500, True),
        (0, 49_999, False),
        (50_001, 100_000, False),
        (26_000, 75_000, False),
        (50_000, 50_000, False),
    ],
)
def test_zeros_are_found_across_the_blocks_that_are_read(
    first: int, last: int, damaged: bool, tmp_path: Path
) -> None:
    flat = torch.ones(100_000)  # six blocks
    flat[first:last] = 0
    matrix = flat.reshape(100, 1000)
    save_file({"a": torch.ones(3), "b": matrix, "c": torch.ones(3)}, tmp_path / "model.safetensors")
    found = zeroed_weights(tmp_path, ["a", "b", "c"])
    assert found == ([("b", "model.safetensors")] if damaged else [])
    assert _half_zero(matrix) == damaged


def test_a_weight_of_one_number_or_of_none_is_no_hole(tmp_path: Path) -> None:
    weights = {"one": torch.ones(1, 1), "two": torch.full((1, 2), 2.0), "none": torch.ones(0, 4)}
    save_file(weights, tmp_path / "model.safetensors")
    assert zeroed_weights(tmp_path, list(weights)) == []
    assert not any(map(_half_zero, weights.values()))


@pytest.fixture
def three_classes(tiny_bert: Path, tmp_path: Path) -> Path:
    from transformers import AutoModelForSequenceClassification

    folder = shutil.copytree(tiny_bert, tmp_path / "three")
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
    model.save_pretrained(folder)
    return folder


def test_a_head_for_other_classes_is_drawn_anew_and_said(
    three_classes: Path, tiny_bert: Path, reviews_csv: Path
) -> None:
    said: list[str] = []
    chosen = config(three_classes, reviews_csv)
    check_inputs(chosen, said.append)
    assert said == [
        f"{three_classes} has a head for 3 classes, but the labels have 2: "
        "its last layer is initialised anew"
    ]
    check_loading(chosen)
    base = load_base(ModelConfig(name_or_path=str(three_classes)), 2, False)
    assert base.fresh == ("classifier.bias", "classifier.weight")
    assert base.model.classifier.out_features == 2


def test_a_head_that_fits_is_kept_and_said(three_classes: Path, tmp_path: Path) -> None:
    path = tmp_path / "three.csv"
    rows = [(f"the film is {word}", word) for word in ("good", "bad", "warm")] * 20
    pd.DataFrame(rows, columns=["review", "verdict"]).to_csv(path, index=False)
    said: list[str] = []
    check_inputs(config(three_classes, path), said.append)
    (line,) = said
    assert (
        "has a head for 3 outputs (LABEL_0, LABEL_1, LABEL_2), from which training starts" in line
    )
    assert load_base(ModelConfig(name_or_path=str(three_classes)), 3, False).fresh == ()


@pytest.mark.parametrize(("words", "max_length", "fits"), [
    (62, 128, True), (63, 128, False), (200, 128, False), (200, 64, True), (200, 65, False),
])  # fmt: skip
def test_texts_with_more_tokens_than_the_model_has_positions_are_refused(
    words: int, max_length: int, fits: bool, tiny_bert: Path, tmp_path: Path
) -> None:
    path = tmp_path / "long.csv"
    rows = [("the film is good", "a"), ("the film is bad", "b")] * 20 + [("good " * words, "a")]
    pd.DataFrame(rows, columns=["review", "verdict"]).to_csv(path, index=False)
    data = {"path": str(path), "text": ["review"], "label": "verdict", "max_length": max_length}
    chosen = config(tiny_bert, path, data=data)
    if fits:
        check_inputs(chosen)
        check_loading(chosen)
        return
    with pytest.raises(ConfigError) as caught:
        check_inputs(chosen)
    (problem,) = caught.value.problems
    assert problem.key == "data.max_length"
    assert problem.message.startswith("must be at most 64, the positions of ")
    assert f"1 texts have more tokens (up to {words + 2})" in problem.message


@pytest.mark.parametrize(("told", "expected"), [
    ({"model_type": "bert", "max_position_embeddings": 512}, 512),
    ({"model_type": "gpt2", "n_positions": 1024}, 1024),
    ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
    ({"model_type": "xlm-roberta", "max_position_embeddings": 66, "pad_token_id": 0}, 65),
    ({"model_type": "deberta-v2", "max_position_embeddings": 512, "relative_attention": True,
      "position_biased_input": False}, None),
    ({"model_type": "deberta-v2", "max_position_embeddings": 512, "relative_attention": True,
      "position_biased_input": True}, 512),
    ({"model_type": "t5", "n_positions": 512, "relative_attention_num_buckets": 32}, None),
    ({"model_type": "xlnet"}, None),
    ({"model_type": "odd", "max_position_embeddings": -1}, None),
])  # fmt: skip
def test_positions_are_told_from_a_models_configuration(
    told: dict[str, Any], expected: int | None
) -> None:
    assert architecture(told).positions == expected


def test_an_adapter_names_its_model_by_an_absolute_path(
    tiny_bert: Path, reviews_csv: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path
) -> None:
    monkeypatch.chdir(tiny_bert.parent)
    api.train(config(Path(tiny_bert.name), reviews_csv), name="here")
    written = own_home / "runs" / "here" / "adapter" / "adapter_config.json"
    assert json.loads(written.read_text())["base_model_name_or_path"] == str(tiny_bert)


@pytest.mark.parametrize(("setting", "value", "words"), [
    ("target_modules", "*query", "must be a regular expression"),
    ("exclude_modules", "encoder.(layer", "must be a regular expression"),
    ("layers_pattern", "[layer", "must be a regular expression"),
    ("rank_pattern", {"query)": 2}, "must be a regular expression"),
    ("exclude_modules", ["querry"], 'did you mean "query"?'),
    ("exclude_modules", ".*quary", "the model has no module named"),
    ("exclude_modules", ".*", "excluded"),
])  # fmt: skip
def test_names_and_expressions_that_match_no_module_are_refused(
    setting: str, value: Any, words: str, tiny_bert: Path, reviews_csv: Path
) -> None:
    from lora2_search.config.run import validate
    from lora2_search.config.yaml import Source

    plain = config(tiny_bert, reviews_csv).model_dump(mode="python")
    adapter = {setting: value} | ({"layers_to_transform": 0} if "layers" in setting else {})
    with pytest.raises(ConfigError, match="adapter") as caught:
        check_inputs(validate(Source({**plain, "adapter": adapter}), RunConfig))
    assert words in str(caught.value)
    assert f"adapter.{setting}" in caught.value.problems[0].key
