"""Prompts of the packaged tasks: a new text, and a file's rows, become what the task's own do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lora2_search
from lora2_search.config.tasks import TASKS
from lora2_search.errors import ConfigError
from lora2_search.training.data.template import filled, template_of
from lora2_search.training.loop.prepare import prepare
from lora2_search.training.loop.run import run
from tests.support.language import asked, settings

WORDS = ("good", "bad", "dull", "warm", "film", "story", "plot", "cast", "is", "very")

# Rows of the packaged tasks that build their prompts, by column.
ROWS: dict[str, list[dict[str, str]]] = {
    "reviews": [{"text": f" {a} {b}"} for a in WORDS for b in WORDS[:4]],
    "asdiv": [
        {"passage": f"{a} {b} ", "question": f" {b} {a}", "answer": f"{len(a)} films"}
        for a in WORDS
        for b in WORDS[:4]
    ],
}
ROWS["siqa"] = [{**row, "options": "A. a\nB. film", "answer": "B. film"} for row in ROWS["asdiv"]]
ROWS["commonsense"] = [
    {name: row[name] for name in ("question", "options", "answer")} for row in ROWS["siqa"]
]
ROWS["boolq-generation"] = [
    {"passage": f"{a} {b} -- {b} is {a}", "question": f"{a} {b} film"}
    for a in WORDS
    for b in WORDS[:4]
]

BUILT = [name for name, task in TASKS.items() if task.template]


def with_assets(home: Path) -> None:
    """Put the rows where the packaged tasks have theirs."""
    for name in ("sentiment", "questions", "boolq"):
        (home / "assets" / name).mkdir(parents=True)
    rated = [f"{i}\t{1 - i % 2 * 2}\t{row['text']}" for i, row in enumerate(ROWS["reviews"])]
    sentiment = home / "assets" / "sentiment" / "movieReviewSnippets_GroundTruth.txt"
    sentiment.write_text("\n".join(rated))
    for task in ("asdiv", "siqa", "commonsense"):
        lines = "".join(json.dumps(row) + "\n" for row in ROWS[task])
        (home / "assets" / "questions" / f"{task}.jsonl").write_text(lines)
    pairs = [{**row, "label": i % 2 == 0} for i, row in enumerate(ROWS["boolq-generation"])]
    for name, rows in (("combined", pairs), ("dev", pairs[-8:])):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (home / "assets" / "boolq" / f"{name}.jsonl").write_text(lines)


@pytest.mark.parametrize("task", BUILT)
@pytest.mark.parametrize("template", [None, "so : {{ prompt }}"])
def test_of_a_packaged_task_a_new_text_becomes_what_the_tasks_own_rows_became(
    task: str,
    template: str | None,
    tiny_llama: Path,
    own_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_assets(own_home)
    data = {"max_length": 64, "template": template, "validation_size": 8, "test_size": 8}
    language = {"max_new_tokens": 1}
    config = settings(
        tiny_llama, tmp_path, method="no-training", task=task, data=data, language=language
    )
    run(config, own_home / "runs" / "mine")
    template_of_task = TASKS[task].template
    assert template_of_task is not None
    columns = template_of(template_of_task).columns
    prepared = prepare(config)
    own = {
        text: tokens
        for split in prepared.encoded.values()
        for (text, _), tokens in zip(split.texts, split.features["prompt"], strict=True)
    }
    given, row = asked(monkeypatch), ROWS[task][0]
    said = "\n".join(row[name] for name in columns)
    lora2_search.generate("mine", said)
    (prompt,) = [text for text in own if all(row[name].strip() in text for name in columns)][:1]
    assert given == [own[prompt]]


@pytest.mark.parametrize("task", BUILT)
def test_eval_reads_a_file_of_a_packaged_tasks_own_columns_or_of_whole_prompts(
    task: str, tiny_llama: Path, own_home: Path, tmp_path: Path
) -> None:
    with_assets(own_home)
    data = {"max_length": 64, "validation_size": 8, "test_size": 8}
    language = {"max_new_tokens": 1}
    config = settings(
        tiny_llama, tmp_path, method="no-training", task=task, data=data, language=language
    )
    run(config, own_home / "runs" / "mine")
    label, template = TASKS[task].label, TASKS[task].template
    assert template is not None
    read = template_of(template)
    rows = [{"completion": " good", **row} for row in ROWS[task]]
    rows = [{**row, label: row.get("answer", " good")} for row in rows]
    whole = [{"prompt": read.render(row), **row} for row in rows]
    told = []
    for name, lines in (("columns", rows), ("prompts", whole)):
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in lines))
        told.append(lora2_search.evaluate("mine", file).frame())
    assert told[0]["prompt"].tolist() == [row["prompt"] for row in whole]
    assert told[0].equals(told[1])


def test_a_template_of_several_columns_takes_a_line_for_each_in_its_own_order() -> None:
    text = "{{ passage }}\n{% if question %}Q: {{ question | trim }}{% endif %} {{ passage }}"
    assert filled(text, "it is\n what? ") == "it is\nQ: what? it is"
    for prompt, lines in (("it is", "1 line"), ("a\nb\nc", "3 lines")):
        with pytest.raises(ConfigError, match=rf"2 columns \(passage, question\).*{lines}; write"):
            filled(text, prompt)
    assert filled("say {{ a }}", "two\nlines") == "say two\nlines"
