"""Every test runs offline, with a home folder of its own, on models and data made here."""

from __future__ import annotations

import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# For models this small a second thread only waits, and it does so by spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import sys
from pathlib import Path
from typing import Any

import pytest

GOOD = ["good", "fine", "great", "lovely", "clever", "warm"]
BAD = ["bad", "poor", "awful", "dull", "silly", "cold"]
FILLER = ["the", "film", "is", "a", "with", "story", "and", "cast", "very", "quite", "this", "it"]


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LORA2_SEARCH_HOME", str(home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # As in an activated environment: printed commands then begin with lora2-search.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    monkeypatch.setenv("PATH", path)
    return home


def _save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *GOOD, *BAD, *FILLER]
    vocabulary = {word: index for index, word in enumerate(words)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(folder)


_SHAPE: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT encoder (no classifier in its files) with a word-level tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-bert")
    torch.manual_seed(0)
    BertModel(BertConfig(**_SHAPE)).save_pretrained(folder)
    _save_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_deberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random DeBERTa-v2 encoder: like the hub's v3-base, its files hold no pooler."""
    import torch
    from transformers import DebertaV2Config, DebertaV2Model

    folder = tmp_path_factory.mktemp("tiny-deberta")
    torch.manual_seed(0)
    config = DebertaV2Config(
        **_SHAPE,
        relative_attention=True,
        position_buckets=8,
        pos_att_type=["p2c", "c2p"],
        pooler_hidden_size=32,
    )
    DebertaV2Model(config).save_pretrained(folder)
    _save_tokenizer(folder)
    return folder


def sentences(count: int, seed: int = 0) -> list[tuple[str, int, float]]:
    """Return (text, label, rating): a sentence is good when it has more good words than bad."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        words = [rng.choice(FILLER) for _ in range(rng.randint(3, 9))]
        good = rng.randint(0, 1)
        words += rng.choices(GOOD if good else BAD, k=2)
        rng.shuffle(words)
        rows.append((" ".join(words), good, round(good * 2 - 1 + rng.uniform(-0.5, 0.5), 2)))
    return rows


@pytest.fixture(scope="session")
def reviews_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A csv with columns ``review``, ``verdict`` (good or bad) and ``stars`` (a number)."""
    import pandas as pd

    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    rows = [(text, ("bad", "good")[label], rating) for text, label, rating in sentences(240)]
    pd.DataFrame(rows, columns=["review", "verdict", "stars"]).to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def glue_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out like ``nyu-mll/glue``, with rte, stsb and mnli."""
    import pandas as pd

    root = tmp_path_factory.mktemp("glue")
    layout = {
        "rte": ("sentence1", "sentence2", ["train", "validation"]),
        "stsb": ("sentence1", "sentence2", ["train", "validation"]),
        "mnli": (
            "premise",
            "hypothesis",
            ["train", "validation_matched", "validation_mismatched"],
        ),
    }
    for task, (first, second, splits) in layout.items():
        (root / task).mkdir()
        for index, split in enumerate(splits):
            rows = sentences(160 if split == "train" else 40, seed=index + 1)
            frame = pd.DataFrame(
                {
                    first: [text for text, _, _ in rows],
                    second: ["it is good"] * len(rows),
                    "label": [rating if task == "stsb" else label for _, label, rating in rows],
                    "idx": range(len(rows)),
                }
            )
            frame.to_parquet(root / task / f"{split}-00000-of-00001.parquet")
    return root


CHAT = (
    "{% for m in messages %}{{ m.role }} says {{ m.content }} [END] {% endfor %}"
    "{% if add_generation_prompt %}assistant says {% endif %}"
)
WORDS = ["Review", ":", "Sentiment", "positive", "negative", "says"]
ROLES = ["system", "user", "assistant"]


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random language model with tied embeddings, a chat template and a padding token."""
    from tests.support.language import save_llama

    folder = tmp_path_factory.mktemp("tiny-llama")
    save_llama(folder, [*WORDS, *ROLES, *GOOD, *BAD, *FILLER], CHAT)
    return folder


@pytest.fixture(scope="session")
def completions(tmp_path_factory: pytest.TempPathFactory, reviews_csv: Path) -> Path:
    """Prompts with the completions " positive" and " negative", as jsonl."""
    import pandas as pd

    table = pd.read_csv(reviews_csv)
    path = tmp_path_factory.mktemp("completions") / "rows.jsonl"
    words = table["verdict"].map({"good": "positive", "bad": "negative"})
    rows = [
        {"prompt": f"Review : {text} Sentiment :", "completion": f" {word}", "text": text}
        for text, word in zip(table["review"], words, strict=True)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
