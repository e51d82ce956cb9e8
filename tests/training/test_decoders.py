"""Decoders bring no padding token; a batch must be worth what its sentences are worth alone."""

from __future__ import annotations

import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lora2_search.config.run import RunConfig
from lora2_search.config.schema import ModelConfig
from lora2_search.errors import ConfigError
from lora2_search.experiments.preflight import check_inputs
from lora2_search.training.loop.prepare import prepare
from lora2_search.training.loop.run import run
from lora2_search.training.models.files import PAD_LEFT, padding_remark, padding_side
from lora2_search.training.models.load import load_tokenizer
from tests.conftest import BAD, FILLER, GOOD

PAIR = ("good film", "the cast is very good and it is a great story")


def decoder(model_type: str, folder: Path, eos: bool = True) -> Path:
    """A random decoder, whose word-level tokenizer knows no padding token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        GPT2Config,
        GPT2Model,
        LlamaConfig,
        LlamaModel,
        PreTrainedTokenizerFast,
    )

    vocabulary = {word: i for i, word in enumerate(["[UNK]", "[END]", *GOOD, *BAD, *FILLER])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"unk_token": "[UNK]", **({"eos_token": "[END]"} if eos else {})}
    PreTrainedTokenizerFast(tokenizer_object=backend, **special).save_pretrained(folder)
    torch.manual_seed(0)
    ends = {"eos_token_id": 1, "bos_token_id": 1, "pad_token_id": None, "vocab_size": 40}
    if model_type == "gpt2":
        model = GPT2Model(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, **ends))
    else:
        sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
        model = LlamaModel(LlamaConfig(num_attention_heads=2, **sizes, **ends))
    model.save_pretrained(folder)
    return folder


def config(folder: Path, data: Path, **training: int) -> RunConfig:
    return RunConfig.model_validate(
        {
            "model": {"name_or_path": str(folder)},
            "data": {"path": str(data), "text": ["review"], "label": "verdict"},
            "adapter": {"k": 4, "r": 2, "target_rank": 1, "t_final": 0.2},
            "training": {"steps": 4, "batch_size": 8, "evaluations": 1, **training},
        }
    )


@pytest.mark.parametrize("model_type", ["gpt2", "llama"])
def test_a_decoder_answers_the_same_for_a_sentence_alone_and_in_a_batch(
    model_type: str, tmp_path: Path, reviews_csv: Path
) -> None:
    settings = config(decoder(model_type, tmp_path / "model"), reviews_csv)
    tokenizer = load_tokenizer(settings.model)
    prepared = prepare(settings)
    model = prepared.trainer.progress.model.eval()
    assert model.config.pad_token_id == tokenizer.pad_token_id == tokenizer.eos_token_id == 1
    together = tokenizer(list(PAIR), padding=True, return_tensors="pt")
    alone = tokenizer(PAIR[0], return_tensors="pt")
    assert together["input_ids"].shape[1] > alone["input_ids"].shape[1]
    with torch.no_grad():
        torch.testing.assert_close(model(**together).logits[:1], model(**alone).logits)


@pytest.mark.parametrize("model_type", ["gpt2", "llama"])
def test_the_readme_of_a_decoders_adapter_loads_it_and_takes_two_sentences(
    model_type: str,
    tmp_path: Path,
    reviews_csv: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = run(config(decoder(model_type, tmp_path / "model"), reviews_csv), tmp_path / "run")
    assert record.status == "completed" and 0 <= record.scores["test/accuracy"] <= 1
    readme = (tmp_path / "run" / "adapter" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(tmp_path / "run" / "adapter")
    exec(code.replace('["a sentence"]', str(list(PAIR))), {})
    assert re.match(r"tensor\(\[\d, \d\]\)", capsys.readouterr().out)


def padding_left(folder: Path) -> Path:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding_side": "left"}))
    return folder


def bert(folder: Path, tiny_bert: Path) -> Path:
    shutil.copytree(tiny_bert, folder)
    return folder


@pytest.mark.parametrize("model_type", ["gpt2", "llama", "bert"])
def test_scores_do_not_depend_on_the_batch_where_the_tokenizer_pads_on_the_left(
    model_type: str, tmp_path: Path, reviews_csv: Path, tiny_bert: Path
) -> None:
    make = partial(bert, tiny_bert=tiny_bert) if model_type == "bert" else None
    folder = padding_left((make or partial(decoder, model_type))(tmp_path / "model"))
    logits = [
        prepare(config(folder, reviews_csv, eval_batch_size=size)).predict("test").logits
        for size in (1, 20)
    ]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-5)
    said: list[str] = []
    check_inputs(config(folder, reviews_csv), said.append)
    (line,) = [line for line in said if "padding on the left" in line]
    assert line.startswith(str(folder)) and "padded on the right" in line


@pytest.mark.parametrize(
    ("settings", "direction", "said"),
    [
        ({}, None, False),
        ({"padding_side": "right"}, None, False),
        ({"padding_side": "left"}, None, True),
        ({}, "Left", True),
        ({}, "Right", False),
        ({"padding_side": "right"}, "Left", False),
        *(({"tokenizer_class": name}, None, True) for name in PAD_LEFT),
        ({"tokenizer_class": "GemmaTokenizerFast"}, None, True),
        ({"tokenizer_class": "GemmaTokenizer", "padding_side": "right"}, None, False),
    ],
)
def test_another_side_than_the_tokenizer_would_pad_on_is_said(
    settings: dict[str, str], direction: str | None, said: bool, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    folder = decoder("gpt2", tmp_path / "model")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    if direction is not None:
        held = json.loads((folder / "tokenizer.json").read_text())
        padding = {"strategy": "BatchLongest", "direction": direction, "pad_to_multiple_of": None}
        held["padding"] = padding | {"pad_id": 1, "pad_type_id": 0, "pad_token": "[END]"}
        (folder / "tokenizer.json").write_text(json.dumps(held))
    assert (AutoTokenizer.from_pretrained(folder).padding_side == "left") == said
    remark = padding_remark(ModelConfig(name_or_path=str(folder)))
    assert (remark is not None) == said
    assert remark is None or "asks for padding on the left; texts are padded on the right" in remark


def test_the_readme_of_an_adapter_pads_as_training_did(
    tmp_path: Path, reviews_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = padding_left(decoder("gpt2", tmp_path / "model"))
    run(config(folder, reviews_csv), tmp_path / "run")
    readme = (tmp_path / "run" / "adapter" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(tmp_path / "run" / "adapter")
    made: dict[str, Any] = {}
    exec(code, made)
    model, tokenizer = made["model"], made["tokenizer"]
    alone = model(**tokenizer(PAIR[0], return_tensors="pt")).logits
    both = model(**tokenizer(list(PAIR), padding=True, return_tensors="pt")).logits
    torch.testing.assert_close(both[:1], alone)


def test_a_head_that_reads_the_last_place_is_padded_on_the_left(tmp_path: Path) -> None:
    folder = decoder("gpt2", tmp_path / "model")
    (folder / "config.json").write_text(json.dumps({"model_type": "xlnet"}))
    assert padding_side(folder) == "left"
    assert padding_remark(ModelConfig(name_or_path=str(padding_left(folder)))) is None


def test_a_tokenizer_that_can_neither_pad_nor_end_is_refused_in_words(tmp_path: Path) -> None:
    folder = decoder("gpt2", tmp_path / "model", eos=False)
    with pytest.raises(ConfigError, match="neither a padding nor an end-of-sequence token"):
        load_tokenizer(ModelConfig(name_or_path=str(folder)))
