"""A causal language model learns completions and no other token, and is judged by its answers."""

from __future__ import annotations

import functools
import json
import shutil
import weakref
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

from lora2_search.errors import ConfigError, UserError
from lora2_search.experiments.preflight import check_inputs
from lora2_search.training.data.conversation import read_rows
from lora2_search.training.data.prompts import IGNORED
from lora2_search.training.data.sources import read_tables
from lora2_search.training.data.tokens import longest_first, of_equal_area, of_like_length
from lora2_search.training.kinds import answers, completion
from lora2_search.training.kinds.answers import answer_in, is_same
from lora2_search.training.kinds.generation import GeneratedPredictions, generate
from lora2_search.training.loop.prepare import check_loading, load_inputs, prepare
from lora2_search.training.loop.run import run
from tests.conftest import BAD, GOOD
from tests.support.language import settings
from tests.training.test_run import comparable, stop_after

CONVERSATION = [
    {"role": "user", "content": "good film"},
    {"role": "assistant", "content": "positive"},
    {"role": "user", "content": "dull cast"},
    {"role": "assistant", "content": "negative"},
]
FIRST = "user says good film [END] assistant says ⟦positive [END]⟧"


@pytest.mark.parametrize(
    ("row", "more", "expected"),
    [
        ({"prompt": "good film", "completion": " positive"}, {}, "good film⟦positive [END]⟧"),
        (
            {"prompt": "good film", "completion": " positive"},
            {"language__train_on": "all"},
            "⟦good film positive [END]⟧",
        ),
        (
            {"text": "good film", "completion": "positive"},
            {"data__template": "Review : {{ text }}\nSentiment :"},
            "Review : good film Sentiment :⟦positive [END]⟧",
        ),
        (
            {"talk": CONVERSATION},
            {"data__messages": "talk"},
            "user says good film [END] assistant says positive [END] user says dull cast [END] "
            "assistant says⟦negative [END]⟧",
        ),
        (
            {"talk": CONVERSATION},
            {"data__messages": "talk", "language__train_on": "assistant"},
            "user says good film [END] assistant says⟦positive [END]⟧user says dull cast [END] "
            "assistant says⟦negative [END]⟧",
        ),
        (
            {"talk": CONVERSATION[:2]},
            {"data__messages": "talk", "language__system": "it is"},
            "system says it is [END] user says good film [END] assistant says⟦positive [END]⟧",
        ),
    ],
)
def test_the_tokens_that_are_learnt(
    row: dict[str, Any], more: dict[str, Any], expected: str, tiny_llama: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text((json.dumps(row) + "\n") * 12)
    _, encoded, kind = load_inputs(settings(tiny_llama, path, **more))
    assert kind.masking is not None and kind.masking.example == expected
    features = encoded["train"].features
    for tokens, targets in zip(features["input_ids"], features["targets"], strict=True):
        assert all(t in (IGNORED, token) for token, t in zip(tokens, targets, strict=True))


def test_loss_and_gradients_are_those_of_transformers_with_the_same_labels(
    tiny_llama: Path, completions: Path
) -> None:
    from transformers import AutoModelForCausalLM

    prepared = prepare(settings(tiny_llama, completions, method="full"))
    trainer, split = prepared.trainer, prepared.encoded["train"]
    batch = trainer.kind.collate(split, [0, 1, 2, 3, 4])
    ours = trainer.progress.model.train()
    loss = trainer.kind.loss(ours, batch)
    loss.backward()
    theirs = AutoModelForCausalLM.from_pretrained(tiny_llama)
    expected = theirs(**batch.inputs, labels=batch.targets).loss
    expected.backward()
    torch.testing.assert_close(loss, expected)
    gradients = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name].grad, rtol=1e-4, atol=1e-6)


def test_accumulated_batches_give_the_gradient_of_one_large_batch(
    tiny_llama: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": "good film", "completion": " ".join(["fine"] * (1 + i))} for i in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    trainer = prepare(settings(tiny_llama, path, method="full")).trainer
    model, batches = trainer.progress.model, [[0, 1], [2, 3], [4, 5]]
    shares = trainer.kind.shares(trainer.train, batches)
    assert shares is not None and np.mean(shares) == pytest.approx(1) and len(set(shares)) > 1
    parts = [trainer.kind.loss(model, trainer.kind.collate(trainer.train, b)) for b in batches]
    together = sum(loss * share for loss, share in zip(parts, shares, strict=True)) / 3
    whole = trainer.kind.loss(model, trainer.kind.collate(trainer.train, sum(batches, [])))
    torch.testing.assert_close(together, whole)


def test_decoding_in_sorted_padded_batches_is_transformers_own_greedy_decoding(
    tiny_llama: Path, completions: Path
) -> None:
    prepared = prepare(settings(tiny_llama, completions, method="no-training"))
    model = prepared.trainer.progress.model.eval()
    prompts = prepared.encoded["test"].features["prompt"][:9]
    assert len({len(prompt) for prompt in prompts}) > 2
    found = generate(model, prompts, pad=0, ends={2}, most=6, batch_size=4)
    assert found == [transformers_own(model, prompt) for prompt in prompts]


def transformers_own(model: Any, prompt: list[int]) -> list[int]:
    """Return what transformers' greedy decoding of one prompt gives, before an end."""
    tokens = torch.tensor([prompt])
    alone = model.generate(
        tokens, do_sample=False, max_new_tokens=6, pad_token_id=0, eos_token_id=2
    )
    new = alone[0, len(prompt) :].tolist()
    return new[: new.index(2)] if 2 in new else new


@pytest.mark.parametrize(
    ("family", "change", "parts"),
    [
        ("llama", {}, 5),
        ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4}, 5),
        ("bloom", {"n_layer": 2, "n_head": 4}, 5),
        ("mistral", {"sliding_window": 4}, 1),
        ("qwen3_next", {"layer_types": ["linear_attention", "full_attention"], "head_dim": 16}, 1),
    ],
)
def test_prompts_read_apart_and_continued_together_are_answered_as_each_one_alone(
    family: str, change: dict[str, Any], parts: int
) -> None:
    """Positions, ALiBi, a window shorter than the prompts, a state beside keys and values."""
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.5}
    shape = AutoConfig.for_model(family, **({"vocab_size": 60} | small | heads | change))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(shape).eval()
    prompts = [[*range(3, 3 + length)] for length in (30, 28, 20, 9, 9, 8, 3, 1)]
    rows: dict[bool, list[int]] = {True: [], False: []}

    def count(module: Any, given: Any, named: dict[str, Any]) -> None:
        rows[named["past_key_values"] is None].append(len(named["input_ids"]))

    hook = model.register_forward_pre_hook(count, with_kwargs=True)
    found = generate(model, prompts, pad=0, ends={2}, most=6, batch_size=8)
    hook.remove()
    assert len(rows[True]) == parts and sum(rows[True]) == 8
    assert set(rows[False]) == {8}
    assert found == [transformers_own(model, prompt) for prompt in prompts]
    assert len({tuple(answer) for answer in found}) > 4


def test_a_batch_that_is_answered_holds_no_memory_while_the_next_is_read(
    tiny_llama: Path, completions: Path
) -> None:
    prepared = prepare(settings(tiny_llama, completions, method="no-training"))
    model, kept = prepared.trainer.progress.model.eval(), list[weakref.ref[Any]]()

    def look(module: Any, given: Any, named: dict[str, Any]) -> None:
        cache = named["past_key_values"]
        if cache is None:
            assert not any(ref() for ref in kept)
        else:
            kept.append(weakref.ref(cache))

    model.register_forward_pre_hook(look, with_kwargs=True)
    generate(model, [[3, 4, 5]] * 6, pad=0, ends=(), most=4, batch_size=2)
    assert kept


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60))
def test_prompts_read_together_are_padded_by_an_eighth_at_most(lengths: list[int]) -> None:
    ordered = np.array(sorted(lengths, reverse=True), dtype=np.int64)
    parts = [*of_like_length(ordered)]
    assert [row for part in parts for row in part] == [*range(len(lengths))]
    assert all(min(ordered[part]) * 8 >= max(ordered[part]) * 7 for part in parts)
    for part, after in pairwise(parts):
        assert ordered[after[0]] * 8 < ordered[part[0]] * 7


@pytest.mark.parametrize("method", ["lora2", "lora", "full"])
def test_a_run_learns_completions_and_keeps_what_it_generated(
    method: str, tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    longer = {"training": {"steps": 60, "batch_size": 16, "evaluations": 1, "lr": 2e-2}}
    untrained = run(settings(tiny_llama, completions, method="no-training"), tmp_path / "floor")
    record = run(settings(tiny_llama, completions, method=method, **longer), tmp_path / "run")
    assert untrained.counts["trained_adapter"] == 0 and untrained.total_steps == 0
    assert record.metric == "exact_match"
    assert record.scores["test/loss"] < untrained.scores["test/loss"] - 0.5
    assert record.scores["test/perplexity"] == pytest.approx(np.exp(record.scores["test/loss"]))
    assert record.example.endswith("Sentiment :⟦positive [END]⟧") or record.example.endswith(
        "Sentiment :⟦negative [END]⟧"
    )
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet").query("split == 'test'")
    assert table["prediction"].mean() == pytest.approx(record.scores["test/exact_match"])
    right = [is_same(*pair) for pair in zip(table["generated"], table["answer"], strict=True)]
    assert right == table["prediction"].astype(bool).tolist()
    assert set(table["answer"]) == {" positive", " negative"}


def test_a_stopped_run_ends_as_if_it_had_never_stopped(
    tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    config = settings(tiny_llama, completions)
    run(config, tmp_path / "whole")
    stop_after(config, tmp_path / "stopped", 1)
    run(config, tmp_path / "stopped")
    assert comparable(tmp_path / "stopped") == comparable(tmp_path / "whole")


def test_cut_examples_are_counted_and_a_set_without_any_token_to_learn_is_refused(
    tiny_llama: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": "good film " * (1 + 3 * (i % 2)), "completion": "fine"} for i in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said: list[str] = []
    check_inputs(settings(tiny_llama, path, data__max_length=6), said.append)
    assert any("of the train examples have no token to learn" in line for line in said)
    assert any(line.endswith("good film⟦fine [END]⟧") for line in said)
    with pytest.raises(ConfigError, match="no training example has a token to learn"):
        check_inputs(settings(tiny_llama, path, data__max_length=2))


def test_where_tokens_judge_every_split_needs_one_to_learn(
    tiny_llama: Path, tmp_path: Path
) -> None:
    path, test = tmp_path / "rows.jsonl", tmp_path / "test.jsonl"
    row = {"prompt": "good film", "completion": "fine"}
    path.write_text((json.dumps(row) + "\n") * 40)
    long = row | {"prompt": "good film " * 5}
    test.write_text((json.dumps(long) + "\n") * 12)
    data = {"data__max_length": 8, "data__test_path": str(test)}
    with pytest.raises(ConfigError, match="data.max_length: no test example has a token to learn"):
        check_inputs(settings(tiny_llama, path, language__max_new_tokens=0, **data))
    check_inputs(settings(tiny_llama, path, **data))  # they are answered all the same


def test_without_answers_an_example_without_a_token_to_learn_is_not_right() -> None:
    tokens = np.array([0, 2, 2])
    said = GeneratedPredictions(
        *((("", "", ""),) * 3),
        matched=np.zeros(3, dtype=bool),
        losses=np.zeros(3),
        tokens=tokens,
        hits=np.array([0, 2, 1]),
        decoded=False,
    )
    assert said.right.tolist() == [False, True, False]
    assert list(said.columns()["prediction"]) == [0, 1, 0]


def test_a_completion_needs_a_token_to_end_with(
    tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    file = folder / "tokenizer_config.json"
    told = json.loads(file.read_text())
    del told["eos_token"]
    file.write_text(json.dumps(told))
    with pytest.raises(ConfigError, match="name_or_path.*no end-of-sequence token.*eos_token"):
        check_inputs(settings(folder, completions))


LONG, LONGER = " ".join(["fine"] * 50), " ".join(["fine"] * 70)
CHOICE = {"data__kind": "choice"}
# The model has 64 positions.
NEEDED: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({"prompt": "good", "completion": LONG}, {"language__max_new_tokens": 20}, None),
    (
        {"prompt": LONG, "completion": "fine"},
        {"language__max_new_tokens": 20},
        "takes 70: the 50 tokens of its prompt and language.max_new_tokens=20 more",
    ),
    ({"prompt": LONG, "completion": "fine"}, {"language__max_new_tokens": 0}, None),
    ({"prompt": "good", "completion": LONGER}, {}, "the longest example takes 72; lower it"),
    (
        {"prompt": LONG, "options": ["fine", "dull"], "answer": "fine"},
        {"language__max_new_tokens": 20, **CHOICE},
        None,
    ),
    (
        {"prompt": "good", "options": ["fine", LONGER], "answer": "fine"},
        CHOICE,
        "the longest prompt with an option takes 71; lower it",
    ),
]


@pytest.mark.parametrize(("row", "more", "message"), NEEDED)
def test_a_model_needs_positions_for_what_it_reads_and_no_more(
    row: dict[str, Any], more: dict[str, Any], message: str | None, tiny_llama: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text((json.dumps(row) + "\n") * 12)
    config = settings(tiny_llama, path, data__max_length=80, **more)
    if message is None:
        check_inputs(config)
    else:
        with pytest.raises(ConfigError, match=f"data.max_length: .* has 64 positions, .*{message}"):
            check_inputs(config)


QUESTION = {"prompt": "good film", "options": ["fine", "dull cast"], "answer": "fine"}


def test_options_are_scored_as_each_one_alone_after_the_prompt(
    tiny_llama: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    forms: list[tuple[Any, Any, int]] = [
        (["fine", "dull cast"], "dull cast", 1),
        ("A. fine\nB. dull cast\nC. warm", "B. dull cast", 1),
        (["fine", "dull cast"], "A", 0),
        (["fine", "dull cast", "warm"], 2, 2),
    ]
    rows = [
        {"prompt": f"{word} film", "options": options, "answer": answer}
        for word in [*GOOD, *BAD]
        for options, answer, _ in forms
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = settings(tiny_llama, path, method="no-training", data__kind="choice")
    prepared = prepare(config)
    kind, model = prepared.trainer.kind, prepared.trainer.progress.model.eval()
    said, split = prepared.predict("test"), prepared.data.splits["test"]
    columns = said.columns()
    for row, (prompt, options) in enumerate(zip(*split.texts, strict=True)):
        for number, option in enumerate(json.loads(options)):
            before, whole = (kind.tokenizer(t)["input_ids"] for t in (prompt, f"{prompt} {option}"))
            logs = torch.log_softmax(model(torch.tensor([whole])).logits[0], dim=-1)
            places = range(len(before) - 1, len(whole) - 1)
            alone = sum(float(logs[place, whole[place + 1]]) for place in places)
            assert columns[f"score_{number}"][row] == pytest.approx(alone, abs=1e-4)
    three = '["fine", "dull cast", "warm"]'
    found = {
        (options, label)
        for part in prepared.data.splits.values()
        for options, label in zip(part.texts[1], part.labels, strict=True)
    }
    assert found == {
        ('["fine", "dull cast"]', 1),
        ('["fine", "dull cast"]', 0),
        (three, 1),
        (three, 2),
    }
    assert set(said.scores(("accuracy", "accuracy_norm"))) == {"accuracy", "accuracy_norm"}
    record = run(settings(tiny_llama, path, method="lora", data__kind="choice"), tmp_path / "run")
    assert record.metric == "accuracy" and 0 <= record.scores["test/accuracy_norm"] <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "cold"}, "the answer 'cold' is not among the options: fine, dull cast"),
        ({"options": ["fine"]}, "there must be two options at least"),
        ({"options": ["fine", "fine"]}, "all different"),
        ({"options": {"a": 1}}, "the options must be a list of texts"),
    ],
)
def test_what_is_wrong_with_options_is_said(
    change: dict[str, Any], message: str, tiny_llama: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [QUESTION] * 12 + [QUESTION | change]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigError, match=f"line 13 of rows.jsonl: .*{message}"):
        check_inputs(settings(tiny_llama, path, data__kind="choice"))


BAD_ROWS: list[tuple[list[Any], dict[str, Any], str]] = [
    ([{"prompt": "a", "completion": "  "}], {}, r"line 13 of rows.jsonl: the completion"),
    ([{"prompt": "a", "completion": ""}], {}, r"line 13 of rows.jsonl: the completion"),
    ([{"prompt": "a", "completion": None}], {}, r"line 13 of rows.jsonl: the completion"),
    ([{"prompt": " ", "completion": "a"}], {}, r"line 13 of rows.jsonl: the prompt is blank"),
    ([], {"data__label": "completed"}, "data.label: no column .completed.*did you mean"),
    ([], {"data__template": "{{ promt }}"}, "data.template: no column 'promt'"),
    ([], {"data__template": "{{ prompt "}, "data.template: not a Jinja template"),
    (
        [],
        {"data__template": "{{ prompt.__class__.__mro__ }}"},
        "line 1 reads the attribute __mro__",
    ),
    (
        [],
        {"data__template": "{{ (prompt | attr('__class__')).mro() }}"},
        "cannot be rendered: access to",
    ),
    ([], {"data__messages": "prompt"}, "line 1 of rows.jsonl: not a conversation"),
]


@pytest.mark.parametrize(("rows", "more", "message"), BAD_ROWS)
def test_what_is_wrong_with_a_row_is_said_with_its_line(
    rows: list[Any], more: dict[str, Any], message: str, tiny_llama: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    sound = [{"prompt": "good film", "completion": "fine"}] * 12
    path.write_text("".join(json.dumps(row) + "\n" for row in [*sound, *rows]))
    with pytest.raises(ConfigError, match=message):
        check_inputs(settings(tiny_llama, path, **more))


ALPACA = "{{ instruction }}{% if input %} : {{ input }}{% endif %}"
RENDERED = [
    (ALPACA, {"instruction": "good", "input": "film"}, "good : film"),
    (ALPACA, {"instruction": "good", "input": ""}, "good"),
    (ALPACA, {"instruction": "good"}, "good"),
    ("{{ instruction }} {{ input }}", {"instruction": "good"}, "good "),
    (ALPACA, {"instruction": "", "input": None}, None),
    ("Review: {{ input }}", {"instruction": "good"}, None),
    ("{% if instruction %}{{ instruction }} {{ input }}{% endif %}", {"input": "film"}, None),
]


@pytest.mark.parametrize(("template", "row", "prompt"), RENDERED)
def test_an_empty_column_is_an_empty_text_to_a_template(
    template: str, row: dict[str, Any], prompt: str | None, tiny_llama: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    whole = {"instruction": "dull", "input": "cast", "completion": "fine"}
    rows = [whole] * 12 + [row | {"completion": "warm"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = settings(tiny_llama, path, data__template=template)
    (read,) = read_rows(read_tables("custom", config.data), config).values()
    texts = [pair for pair in zip(*read.split.texts, strict=True) if pair[1] == "warm"]
    assert texts == ([] if prompt is None else [(prompt, "warm")])
    assert read.left_out == (prompt is None)


USER, ASSISTANT = CONVERSATION[:2]


@pytest.mark.parametrize(
    ("talk", "message"),
    [
        ([USER], "the last message must be the assistant's"),
        ([ASSISTANT], "the first message is the assistant's"),
        ([USER, {**ASSISTANT, "role": "bot"}], "unknown role: 'bot'"),
        ([USER, {**ASSISTANT, "content": " "}], "message 2, the assistant's, is blank"),
        ([USER, {**ASSISTANT, "content": None}], "message 2 must be text, but is null"),
        ([{**USER, "content": ["a"]}, ASSISTANT], r"message 1 must be text, but is '\[\"a\"\]'"),
        ([USER, {"role": "assistant"}], "message 2 must be text, but is null"),
        ({"role": "user"}, "not a list of messages"),
    ],
)
def test_what_is_wrong_with_a_conversation_is_said(
    talk: Any, message: str, tiny_llama: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"talk": CONVERSATION}] * 12 + [{"talk": talk}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigError, match=f"line 13 of rows.jsonl: .*{message}"):
        check_inputs(settings(tiny_llama, path, data__messages="talk"))


CALLING = """{% for m in messages %}{{ m.role }} {{ m.name }} {{ m.content }}
{%- for call in m.tool_calls %} good {{ call.function.arguments | tojson }}{% endfor %} [END]
{% endfor %}{% if add_generation_prompt %}assistant {% endif %}"""


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_template_sees_all_of_a_message(form: str, tiny_llama: Path, tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": {"days": 3}}}
    talk = [
        {**USER, "name": "dull"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "name": "film", "content": "fine"},
        {"role": "assistant", "tool_calls": [call]},
    ]
    path, file = tmp_path / f"rows.{form}", tmp_path / "chat.jinja"
    rows = pd.DataFrame({"talk": [talk] * 12})
    rows.to_parquet(path) if form == "parquet" else rows.to_json(path, orient="records", lines=True)
    file.write_text(CALLING)
    more = {"data__messages": "talk", "language__chat_template": str(file)}
    data, encoded, _ = load_inputs(settings(tiny_llama, path, **more))
    messages = json.loads(data.splits["train"].texts[0][0])
    assert [sorted(message) for message in messages] == [
        ["content", "name", "role"],
        ["content", "role", "tool_calls"],
        ["content", "name", "role"],
        ["content", "role", "tool_calls"],
    ]
    assert messages[1] == {"role": "assistant", "content": "", "tool_calls": [call]}
    # What is generated in the place of a call is compared with the call.
    ((_, (answer,)), *_) = encoded["train"].texts
    assert answer.split()[0] == "good"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "cannot be read"),
        ("{% for m in messages %}", "line 1 of .* is not Jinja"),
        ("{{ messages.__class__ }}", "line 1 reads the attribute __class__, which no template may"),
        ("\n{{ messages['__class__'] }}", "line 2 reads the attribute __class__"),
        ("{{ (messages | attr('__class__')).mro() }}", "cannot render a conversation: access to"),
        ("{{ messages | length }} {{ messages[-1].content }}", "turn by turn"),
    ],
)
def test_a_chat_template_that_cannot_be_used_is_refused(
    template: str | None, message: str, tiny_llama: Path, tmp_path: Path
) -> None:
    path, file = tmp_path / "rows.jsonl", tmp_path / "chat.jinja"
    path.write_text((json.dumps({"talk": CONVERSATION}) + "\n") * 12)
    if template is not None:
        file.write_text(template)
    more = {"data__messages": "talk", "language__chat_template": str(file)}
    with pytest.raises(ConfigError, match=f"(?s)language.chat_template.*{message}"):
        check_inputs(settings(tiny_llama, path, **more))


def test_an_encoder_generates_no_text(tiny_bert: Path, completions: Path) -> None:
    with pytest.raises(ConfigError, match="is an encoder .bert. and generates no text"):
        check_inputs(settings(tiny_bert, completions))


@pytest.mark.parametrize(
    ("text", "right", "same"),
    [
        (" Positive.", "positive", True),
        ("1,000.0", "1000", True),
        ("2/4", "0.5", True),
        ("$5", "5", True),
        ("5", "50", False),
        ("positive negative", "positive", False),
        ("", "positive", False),
        ("1/0", "1/0", True),
        ("", "?", False),
        ("", "*", False),
        ("-", "?", False),
        (" ?", "?", True),
        ("**Paris**", "paris", True),
    ],
)
def test_answers_are_compared_as_numbers_or_normalised_texts(
    text: str, right: str, same: bool
) -> None:
    assert is_same(text, right) == same


def test_a_pattern_finds_the_last_answer_or_none() -> None:
    assert answer_in("#### 4, no: #### 12 apples", r"#### (\d+)") == "12"
    assert answer_in("no answer", r"#### (\d+)") is None
    assert not is_same(None, "12")


@pytest.mark.parametrize(
    ("pattern", "text", "answer"),
    [
        (".*", "a word", "a word"),
        (".*", "a word\n \n", "a word"),
        (r"\d*", "12 apples", "12"),
        (r"is (\d*)", "it is 4, it is good", "4"),
        (r"(\d+)?", "no answer", None),
    ],
)
def test_a_pattern_that_matches_nothing_too_finds_what_it_matches(
    pattern: str, text: str, answer: str | None
) -> None:
    assert answer_in(text, pattern) == answer


@pytest.fixture
def tiny_mamba(tiny_llama: Path, tmp_path: Path) -> Path:
    """A random model with a state in place of keys and values."""
    folder = tmp_path / "mamba"
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.save_pretrained(folder)
    shape = MambaConfig(
        vocab_size=len(tokenizer), hidden_size=16, state_size=4, num_hidden_layers=1
    )
    MambaForCausalLM(shape).save_pretrained(folder)
    return folder


def test_a_model_without_keys_and_values_is_refused_where_it_is_to_generate(
    tiny_mamba: Path, completions: Path
) -> None:
    words = r"model.name_or_path: .* \(mamba\) generates nothing here"
    with pytest.raises(ConfigError, match=words):
        check_inputs(settings(tiny_mamba, completions))
    check_inputs(settings(tiny_mamba, completions, language__max_new_tokens=0))
    model = MambaForCausalLM.from_pretrained(tiny_mamba)
    with pytest.raises(UserError, match="a MambaForCausalLM generates nothing here"):
        generate(model, [[3]], pad=0, ends={2}, most=1, batch_size=1)


def test_a_model_that_counts_padding_is_refused_where_it_is_to_generate(
    tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "blenderbot"
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.save_pretrained(folder)
    sizes = {
        "d_model": 16,
        "decoder_layers": 1,
        "decoder_ffn_dim": 16,
        "decoder_attention_heads": 2,
    }
    shape = AutoConfig.for_model("blenderbot", vocab_size=len(tokenizer), **sizes)
    AutoModelForCausalLM.from_config(shape).save_pretrained(folder)
    words = r"model.name_or_path: .* \(blenderbot\) generates nothing here: .* counts padding"
    with pytest.raises(ConfigError, match=words):
        check_inputs(settings(folder, completions))
    # A later transformers may count otherwise; then the family can go from the list.
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    prompts = [[*range(3, 3 + length)] for length in (8, 7)]
    together = generate(model, prompts, pad=0, ends=(), most=6, batch_size=2)
    assert together[1:] != generate(model, prompts[1:], pad=0, ends=(), most=6, batch_size=1)


@pytest.mark.parametrize(
    ("peft", "message"),
    [
        (
            {"peft_type": "LORA", "alora_invocation_tokens": [3]},
            "peft.alora_invocation_tokens: starts at a token that it seeks in the whole text",
        ),
        (
            {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 2},
            "peft.peft_type: PROMPT_TUNING puts tokens of its own before the prompt",
        ),
    ],
)
def test_an_adapter_that_decoding_here_would_misread_is_refused(
    peft: dict[str, Any], message: str, tiny_llama: Path, completions: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_inputs(settings(tiny_llama, completions, method="peft", peft=peft))


@pytest.mark.parametrize("most", [0, 12])
def test_before_a_run_a_model_generates_one_token_at_most(
    most: int, tiny_llama: Path, completions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bool] = []
    own = LlamaForCausalLM.forward

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        read.append(bool(named.get("use_cache")))
        return own(self, *given, **named)

    # One signature with the original, by which the loop knows what it may ask for.
    monkeypatch.setattr(LlamaForCausalLM, "forward", functools.wraps(own)(counted))
    check_loading(settings(tiny_llama, completions, language__max_new_tokens=most))
    assert sorted(read) == [False] * 3 + [True] * (3 if most else 0)


@pytest.mark.parametrize("kind", ["generation", "choice"])
@pytest.mark.parametrize("at_a_time", [1, 500, 1500])
def test_losses_computed_a_few_examples_at_a_time_are_the_same_to_the_bit(
    kind: str,
    at_a_time: int,
    tiny_llama: Path,
    completions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = completions
    if kind == "choice":
        path = tmp_path / "rows.jsonl"
        row = {"prompt": "good film is", "options": ["dull", "warm and fine"], "answer": "dull"}
        path.write_text((json.dumps(row) + "\n") * 200)
    config = settings(tiny_llama, path, data__kind=kind, method="no-training")
    prepared = prepare(config)
    whole = prepared.predict("test")
    seen: list[int] = []
    own = completion._token_losses

    def counted(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.append(len(logits))
        return own(logits, targets)

    monkeypatch.setattr(completion, "_AT_A_TIME", at_a_time)
    monkeypatch.setattr(completion, "_token_losses", counted)
    parts = prepared.predict("test")
    assert max(seen) < config.training.eval_batch_size and len(seen) > 2
    for name, column in whole.columns().items():
        assert list(column) == list(parts.columns()[name])


def test_the_longest_batch_is_evaluated_first() -> None:
    lengths = np.array([3, 9, 1, 7, 5])
    assert longest_first(lengths, 2) == [[1], [4, 3], [2, 0]]


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 8))
def test_batches_to_decode_hold_every_row_once_and_no_more_than_the_longest(
    lengths: list[int], size: int
) -> None:
    batches = [*of_equal_area(np.array(lengths, dtype=np.int64), size)]
    assert sorted(row for rows in batches for row in rows) == [*range(len(lengths))]
    longest = [max(lengths[row] for row in rows) for rows in batches]
    assert longest == sorted(longest, reverse=True)
    for rows, length in zip(batches, longest, strict=True):
        assert len(rows) * length <= size * max(lengths) and len(rows) <= 4 * size
    assert all(len(rows) >= size for rows in batches[:-1])


def test_a_pattern_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_PATIENCE", 0.1)
    with pytest.raises(ConfigError, match="language.answer: takes more than 0.1 s on"):
        answer_in("a" * 40, r"(?:a|a)+[bc]$")
