"""Conversations: where an answer ends, and what a chat template makes of the day."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from transformers import AutoTokenizer, GenerationConfig

import lora2_search
from lora2_search.config.run import RunConfig
from lora2_search.errors import ConfigError
from lora2_search.experiments.adapters import merge_run
from lora2_search.training.loop.prepare import load_inputs
from lora2_search.training.loop.run import run
from tests.conftest import BAD, CHAT, FILLER, GOOD, ROLES, WORDS
from tests.support.language import save_llama, settings
from tests.training.test_merged import cli

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


@pytest.mark.parametrize("merged", [False, True])
def test_what_is_exported_carries_the_chat_template_and_the_system_prompt(
    merged: bool, talks: Path, own_home: Path, tmp_path: Path
) -> None:
    chat, out = CHAT.replace("[END]", "[TURN]"), tmp_path / "out"
    own = "Review : " + chat
    file = tmp_path / "own.jinja"
    file.write_text(own)
    told = {"language__chat_template": str(file), "language__system": "it's warm"}
    config = chatting(tmp_path / "model", talks, chat, **told)
    run(config, own_home / "runs" / "mine")
    file.write_text("changed since")  # the run kept what it was trained with
    answer = lora2_search.generate("mine", "good film")
    form = ["--merge"] if merged else []
    said = json.loads(cli("export", "mine", *form, "--out", out, "--json"))
    tokenizer = AutoTokenizer.from_pretrained(out)
    asked = [
        {"role": "system", "content": "it's warm"},
        {"role": "user", "content": "good film"},
    ]
    expected = "Review : system says it's warm [TURN] user says good film [TURN] assistant says "
    assert tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True) == (
        expected
    )
    line = shlex.split(said["lm_eval"])
    assert f"tokenizer={out}" in line[line.index("--model_args") + 1]
    assert "--apply_chat_template" in line
    assert line[line.index("--system_instruction") + 1] == "it's warm"
    code = (out / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    code = code.replace("a question", "good film")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=out, capture_output=True, text=True, check=True
    )
    assert done.stdout == answer + "\n"
    readme = (own_home / "runs" / "mine" / "adapter" / "README.md").read_text()
    assert "chat_template.jinja" in readme and '"system"' in readme


def test_a_run_without_conversations_is_exported_without_a_tokenizer(
    tiny_llama: Path, completions: Path, own_home: Path, tmp_path: Path
) -> None:
    run(settings(tiny_llama, completions), own_home / "runs" / "mine")
    said = json.loads(cli("export", "mine", "--out", tmp_path / "out", "--json"))
    assert "chat_template" not in said["lm_eval"]
    assert not list((tmp_path / "out").glob("token*"))


DATED = "{{ strftime_now('%d %b') }} {{ strftime_now( \"%Y\" ) }} : "


@pytest.mark.parametrize("named", [False, True])
def test_a_template_that_asks_for_the_day_gets_the_same_one_every_day(
    named: bool, talks: Path, own_home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(DATED + CHAT)
    more = {"language__chat_template": str(file)} if named else {}
    config = chatting(tmp_path / "model", talks, CHAT if named else DATED + CHAT, **more)
    _, encoded, _ = load_inputs(config)
    assert all(text.startswith("26 Jul 2024 : user says") for text, _ in encoded["test"].texts)
    run(config, own_home / "runs" / "mine")
    cli("export", "mine", "--out", tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    asked = [{"role": "user", "content": "good film"}]
    assert tokenizer.apply_chat_template(asked, tokenize=False).startswith("26 Jul 2024 : user")


def test_a_template_whose_day_cannot_be_fixed_is_refused(talks: Path, tmp_path: Path) -> None:
    chat = "{% set form = '%Y' %}{{ strftime_now(form) }} " + CHAT
    config = chatting(tmp_path / "model", talks, chat)
    with pytest.raises(ConfigError, match="model.name_or_path.*computes the format of today"):
        load_inputs(config)
