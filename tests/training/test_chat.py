"""Conversations: where an answer ends, and what a chat template makes of the day."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from transformers import AutoTokenizer, GenerationConfig

import lora2_search
from lora2_search.config.run import RunConfig
from lora2_search.experiments.adapters import merge_run
from lora2_search.training.loop.prepare import load_inputs
from lora2_search.training.loop.run import run
from tests.conftest import BAD, CHAT, FILLER, GOOD, ROLES, WORDS
from tests.support.language import save_llama, settings

BETTER = {"training": {"steps": 40, "batch_size": 16, "evaluations": 1, "lr": 2e-2}}


@pytest.fixture
def talks(tmp_path: Path, reviews_csv: Path) -> Path:
    """Conversations of a review and always the same verdict, which is learnt soon."""
    rows = [
        {"talk": [{"role": "user", "content": t}, {"role": "assistant", "content": "positive"}]}
        for t in pd.read_csv(reviews_csv)["review"]
    ]
    path = tmp_path / "talks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chatting(folder: Path, talks: Path, chat: str, **more: Any) -> RunConfig:
    """Save a model with a chat template; return a run of it on conversations."""
    words = [*WORDS, *ROLES, *GOOD, *BAD, *FILLER]
    save_llama(folder, words, chat, more_special=("[TURN]", "[OTHER]"))
    return settings(folder, talks, data__messages="talk", **BETTER, **more)


def test_an_answer_ends_with_the_token_that_ends_a_turn_where_that_is_not_the_end_of_sequence(
    talks: Path, own_home: Path, tmp_path: Path
) -> None:
    chat = CHAT.replace("[END]", "[TURN] [OTHER]")
    config = chatting(tmp_path / "model", talks, chat, language__max_new_tokens=8)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    end = tokenizer.convert_tokens_to_ids("[TURN]")
    assert end not in (None, tokenizer.eos_token_id, tokenizer.unk_token_id)
    _, _, kind = load_inputs(config)
    assert kind.masking is not None and kind.masking.turn_end == end
    assert "no special token" not in "".join(kind.masking.lines(40))
    record = run(config, own_home / "runs" / "mine")
    assert record.scores["test/exact_match"] > 0.9
    assert lora2_search.generate("mine", "good film") == "positive"
    merge_run("mine", tmp_path / "merged", None)
    exported = GenerationConfig.from_pretrained(tmp_path / "merged").eos_token_id
    assert exported == sorted({end, tokenizer.eos_token_id})


def test_a_template_that_ends_no_turn_is_named(talks: Path, tmp_path: Path) -> None:
    config = chatting(tmp_path / "model", talks, CHAT.replace("[END]", ""))
    _, _, kind = load_inputs(config)
    assert kind.masking is not None and kind.masking.turn_end is None
    assert "learns no end of an answer" in "".join(kind.masking.lines(40))


def test_where_the_end_of_sequence_ends_a_turn_nothing_changes(talks: Path, tmp_path: Path) -> None:
    config = chatting(tmp_path / "model", talks, CHAT)
    _, _, kind = load_inputs(config)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert kind.masking is not None and kind.masking.turn_end == tokenizer.eos_token_id
    assert not kind.masking.endless
