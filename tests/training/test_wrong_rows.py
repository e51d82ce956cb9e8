"""Rows that a language model cannot learn from: refused before a run, each with key and place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

import lora2_search
from lora2_search.errors import ConfigError, UserError
from lora2_search.experiments.preflight import check_inputs
from lora2_search.training.kinds.completion import next_tokens
from lora2_search.training.kinds.kind import Batch
from lora2_search.training.loop.prepare import load_inputs
from lora2_search.training.loop.run import run
from tests.support.language import settings

SOUND = {"prompt": "good film", "completion": " fine"}
CHOICE = {"prompt": "good film", "options": ["fine", "dull"], "answer": "fine"}
TALK = [{"role": "user", "content": "good film"}, {"role": "assistant", "content": "fine"}]
Saved = Callable[[dict[str, Any]], Path]


@pytest.fixture
def saved(tiny_llama: Path, tmp_path: Path) -> Saved:
    """Save the model with changes in its tokenizer's file."""

    def save(changes: dict[str, Any]) -> Path:
        folder = shutil.copytree(tiny_llama, tmp_path / "model")
        file = folder / "tokenizer.json"
        whole = json.loads(file.read_text())
        for section, change in changes.items():
            whole[section] = {**(whole[section] or {}), **change}
        file.write_text(json.dumps(whole))
        return folder

    return save


@pytest.fixture
def dropping(saved: Saved) -> Path:
    """A model whose tokenizer drops all but letters and colons."""
    drop = {"type": "Replace", "pattern": {"Regex": "[^A-Za-z: ]"}, "content": ""}
    return saved({"normalizer": drop})


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**SOUND, "prompt": "🙂"}, "data.text: line 13 .* makes no token of the prompt '🙂'"),
        ({**SOUND, "completion": "🙂"}, "data.label: line 13 .* no token of the answer '🙂'"),
        ({"prompt": "🙂", "completion": "🙃"}, "data.text: line 13 of rows.jsonl: the tokenizer"),
    ],
)
def test_a_text_of_no_tokens_is_refused(
    row: dict[str, str], message: str, dropping: Path, tmp_path: Path
) -> None:
    path = written(tmp_path / "rows.jsonl", *[SOUND] * 12, row)
    with pytest.raises(ConfigError, match=message):
        check_inputs(settings(dropping, path))


def test_an_option_of_no_tokens_is_refused(dropping: Path, tmp_path: Path) -> None:
    row = {**CHOICE, "options": ["fine", "🙂"]}
    path = written(tmp_path / "rows.jsonl", *[CHOICE] * 12, row)
    message = "data.options: line 13 of rows.jsonl: .* makes no token of the option '🙂'"
    with pytest.raises(ConfigError, match=message):
        check_inputs(settings(dropping, path, data__kind="choice"))


def test_several_wrong_rows_are_reported_together(dropping: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", *[{**SOUND, "prompt": "🙂"}] * 30)
    with pytest.raises(ConfigError, match="(?s)line.*line.*line.*and 21 more such rows") as caught:
        check_inputs(settings(dropping, path, data__validation_size=3, data__test_size=3))
    assert len(caught.value.problems) == 4


def test_a_trained_model_refuses_a_prompt_of_no_tokens(
    dropping: Path, own_home: Path, tmp_path: Path
) -> None:
    path = written(tmp_path / "rows.jsonl", *[SOUND] * 20)
    run(settings(dropping, path), own_home / "runs" / "mine")
    with pytest.raises(ConfigError, match="makes no token of the prompt '🙂'"):
        lora2_search.generate("mine", "🙂")
    with pytest.raises(ConfigError, match="line 1 of new.jsonl: .* no token of the prompt"):
        lora2_search.evaluate("mine", written(tmp_path / "new.jsonl", {**SOUND, "prompt": "🙂"}))
    with pytest.raises(UserError, match="not valid UTF-8"):
        lora2_search.generate("mine", "a\udce9")


def test_a_text_of_one_token_predicts_nothing(tiny_llama: Path, completions: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    one = torch.tensor([[5]])
    batch = Batch({"input_ids": one, "attention_mask": torch.ones_like(one)}, one)
    logits, targets = next_tokens(model, batch)
    assert logits.shape[:2] == targets.shape == (1, 1) and targets.tolist() == [[-100]]


@pytest.mark.parametrize("texts", ["🙂\n\n🙃", "🙂"])
def test_texts_to_forget_need_tokens(texts: str, dropping: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", *[SOUND] * 20)
    file = tmp_path / "plain.txt"
    file.write_text(texts)
    with pytest.raises(ConfigError, match=r"language.forgetting: .* no token of any text"):
        check_inputs(settings(dropping, path, language__forgetting=str(file)))
    file.write_text(f"{texts}\n\ngood film")
    record = run(settings(dropping, path, language__forgetting=str(file)), tmp_path / "run")
    assert record.forgetting is not None


def test_a_tokenizer_that_fails_is_said_with_the_row(saved: Saved, tmp_path: Path) -> None:
    model = saved({"model": {"unk_token": "[ABSENT]"}})
    unknown = {**SOUND, "prompt": "unheard film"}
    path = written(tmp_path / "rows.jsonl", *[SOUND] * 12, unknown)
    message = r"line 13 of rows.jsonl: the tokenizer cannot encode 'unheard film': .*Missing \[UNK"
    with pytest.raises(ConfigError, match=f"model.name_or_path: {message}"):
        check_inputs(settings(model, path))
    file = tmp_path / "plain.txt"
    file.write_text("unheard")
    sound = written(tmp_path / "sound.jsonl", *[SOUND] * 12)
    with pytest.raises(ConfigError, match=r"language.forgetting: .* cannot encode 'unheard'"):
        check_inputs(settings(model, sound, language__forgetting=str(file)))
    labelled = {"kind": "classification", "text": ["prompt"], "label": "completion"}
    classes = [SOUND, {**SOUND, "completion": " dull"}] * 6
    path = written(tmp_path / "rows.jsonl", *classes, unknown)
    data = {"path": str(path), "validation_size": 3, "test_size": 3, **labelled}
    with pytest.raises(ConfigError, match=f"data.text: {message}"):
        load_inputs(settings(model, path, data=data, language={}))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "line 1 of rows.jsonl: the chat template makes nothing of the prompt"),
        ("constant", "line 1 of rows.jsonl: the chat template makes nothing of the answer"),
        ("{{ messages[0].content }}", "line 1 of rows.jsonl: .* makes nothing of the answer"),
        (
            "{% for m in messages %}{% if m.content == 'dull' %}{{ raise_exception('no dull') }}"
            "{% endif %}{{ m.content }} {% endfor %}",
            "line 13 of rows.jsonl: the chat template cannot render a conversation: no dull",
        ),
        ("{{ " + "(" * 600 + "1" + ")" * 600 + " }}", "not Jinja"),
        ("{{ messages.x(a=1, a=2) }}", "line 1 of rows.jsonl: .* cannot render a conversation"),
    ],
    ids=["empty", "constant", "prompt", "raises", "deep", "twice"],
)
def test_what_a_chat_template_makes_nothing_of_is_said(
    template: str, message: str, tiny_llama: Path, tmp_path: Path
) -> None:
    dull = [{**TALK[0], "content": "dull"}, TALK[1]]
    path = written(tmp_path / "rows.jsonl", *[{"talk": TALK}] * 12, {"talk": dull})
    file = tmp_path / "chat.jinja"
    file.write_text(template)
    more: dict[str, Any] = {"data__validation_size": 1, "data__test_size": 1}
    more |= {"data__messages": "talk", "language__chat_template": str(file)}
    with pytest.raises(ConfigError, match=f"language.chat_template: .*{message}"):
        check_inputs(settings(tiny_llama, path, **more))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ 1 // (prompt|length - 4) }}", "line 13 of rows.jsonl: cannot be rendered: .*zero"),
        ("{{ prompt.replace('dull', '') }}", "line 13 of rows.jsonl: the prompt is blank"),
        ("{{ prompt.join(a=1, a=2) }}", "not a Jinja template: keyword argument repeated"),
        ("{{ " + "(" * 600 + "prompt" + ")" * 600 + " }}", "not a Jinja template"),
    ],
)
def test_what_a_template_cannot_render_is_said_with_the_row(
    template: str, message: str, tiny_llama: Path, tmp_path: Path
) -> None:
    path = written(tmp_path / "rows.jsonl", *[SOUND] * 12, {**SOUND, "prompt": "dull"})
    with pytest.raises(ConfigError, match=f"data.template: {message}"):
        check_inputs(settings(tiny_llama, path, data__template=template))


def test_a_blank_prompt_is_reported_under_its_own_key(tiny_llama: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", *[SOUND] * 12, {**SOUND, "prompt": " "})
    with pytest.raises(ConfigError, match="data.text: line 13 of rows.jsonl: the prompt is blank"):
        check_inputs(settings(tiny_llama, path))


DEEP = "[" * 5000


@pytest.mark.parametrize(
    ("kind", "cell", "message"),
    [
        ("messages", DEEP, r"line 14 of rows.csv: not a conversation: '\[\["),
        ("options", DEEP, "line 14 of rows.csv: there must be two options"),
        ("messages", json.dumps([{**TALK[0], "content": "\ud83d"}, TALK[1]]), "line 14 .* half a"),
        ("options", json.dumps(["fine", "\ud83d"]), "line 14 .* hold half a character"),
    ],
    ids=["deep conversation", "deep options", "half a message", "half an option"],
)
def test_what_is_wrong_inside_a_cell_is_said(
    kind: str, cell: str, message: str, tiny_llama: Path, tmp_path: Path
) -> None:
    sound = json.dumps(TALK if kind == "messages" else CHOICE["options"])
    table = pd.DataFrame({"prompt": "good", "answer": "fine", kind: [sound] * 12 + [cell]})
    table.to_csv(tmp_path / "rows.csv", index=False)
    more = {"data__kind": "choice"} if kind == "options" else {"data__messages": "messages"}
    with pytest.raises(ConfigError, match=f"data.{kind}: {message}"):
        check_inputs(settings(tiny_llama, tmp_path / "rows.csv", **more))
