"""What is left of a language model's run: the merged model, its answers, what it forgot."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

import lora2_search
from lora2_search.cli.app import app
from lora2_search.config.run import with_settings
from lora2_search.config.suite.schema import load_suite
from lora2_search.errors import ConfigError
from lora2_search.store.record import RunRecord, read_record
from lora2_search.training.export.reload import reload_model
from lora2_search.training.kinds.plain_text import read_texts
from lora2_search.training.loop.prepare import prepare
from lora2_search.training.loop.run import run
from lora2_search.training.models.load import load_base
from tests.support.language import asked, settings
from tests.support.metamath import small_suite, write_model, write_stand_in

TOKENS = torch.tensor([[3, 4, 20, 21, 30], [5, 12, 22, 9, 8]])
BETTER = {"training": {"steps": 30, "batch_size": 16, "evaluations": 1, "lr": 2e-2}}


def cli(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


@pytest.fixture
def mine(tiny_llama: Path, completions: Path, own_home: Path) -> Path:
    """A run called mine, of a language model."""
    run(settings(tiny_llama, completions, **BETTER), own_home / "runs" / "mine")
    return own_home / "runs" / "mine"


def record_of(folder: Path) -> RunRecord:
    record = read_record(folder)
    assert record is not None
    return record


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"method": "dora"},
        {"method": "full"},
        {"model__quantization": "nf4"},
        {"model__dtype": "bfloat16"},
    ],
    ids=lambda change: "-".join(map(str, change.values())) or "lora2",
)
def test_a_merged_model_loads_alone_and_gives_the_same_logits(
    change: dict[str, Any], tiny_llama: Path, completions: Path, own_home: Path, tmp_path: Path
) -> None:
    if "model__quantization" in change:
        pytest.importorskip("bitsandbytes")
    config = settings(tiny_llama, completions, **change)
    folder = own_home / "runs" / "mine"
    run(config, folder)
    told = json.loads(cli("export", "mine", "--merge", "--out", tmp_path / "out", "--json"))
    ours = reload_model(load_base(config.model, None), config, folder / "adapter").eval()
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto").eval()
    # In bfloat16 the merged weight is rounded; the increment beside it was not.
    close = {"rtol": 0.1, "atol": 0.1} if "model__dtype" in change else {"rtol": 0, "atol": 1e-4}
    torch.testing.assert_close(theirs(TOKENS).logits, ours(TOKENS).logits, **close)
    assert theirs.lm_head.weight is theirs.model.embed_tokens.weight
    assert told["parameters"] == sum(p.numel() for p in theirs.parameters())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.chat_template and tokenizer("good film")["input_ids"]
    assert f"pretrained={tmp_path / 'out'}" in told["lm_eval"]


def test_an_adapter_on_a_tied_weight_is_not_merged(
    tiny_llama: Path, completions: Path, own_home: Path, tmp_path: Path
) -> None:
    config = settings(tiny_llama, completions, method="lora", adapter__target_modules=["lm_head"])
    run(config, own_home / "runs" / "mine")
    words = cli("export", "mine", "--merge", "--out", tmp_path / "out", code=2)
    assert "lm_head is adapted, but its weight is also that of model.embed_tokens" in words
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_merged_is_refused_in_words(
    tiny_llama: Path, completions: Path, own_home: Path, tmp_path: Path
) -> None:
    run(settings(tiny_llama, completions, method="no-training"), own_home / "runs" / "floor")
    out = ("--out", tmp_path / "out")
    assert "this run trained nothing" in cli("export", "floor", "--merge", *out, code=2)
    words = cli("export", "floor", "--merge", "--as", "pruned", *out, code=2)
    assert "--merge writes the whole model, --as pruned an adapter" in words


def test_an_exported_language_model_comes_with_the_line_that_scores_it(
    mine: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    said = cli("export", "mine", "--out", tmp_path / "lora")
    arguments = f"pretrained={tiny_llama},peft={tmp_path / 'lora'},dtype=float32"
    assert f"lm_eval --model hf --model_args {arguments} --tasks TASK" in said
    assert "lm_eval" not in cli("export", "mine", "--as", "pruned", "--out", tmp_path / "pruned")


def test_predict_refuses_a_language_model(mine: Path, completions: Path) -> None:
    words = cli("predict", "--run", "mine", "--data", completions, code=2)
    assert words.startswith("run mine is of a language model; use generate or eval")


def test_a_trained_model_is_asked_for_no_more_than_its_positions(
    mine: Path, completions: Path
) -> None:
    asks = ("generate", "--run", "mine", "--prompt", "good film", "--max-new-tokens")
    words = cli(*asks, 63, code=2)
    assert "has 64 positions, but an answer takes 65: the 2 tokens of its prompt and" in words
    assert "--max-new-tokens 63; lower one of the two" in words
    cli(*asks, 62)
    more = ("--set", "language.max_new_tokens=60")
    words = cli("eval", "--run", "mine", "--task", completions, *more, code=2)
    assert "data.max_length: " in words and "has 64 positions, but an answer takes" in words


def test_eval_and_generate_give_what_the_run_itself_gave(
    mine: Path, completions: Path, tmp_path: Path
) -> None:
    config = settings(Path(record_of(mine).config["model"]["name_or_path"]), completions)
    texts = prepare(config).data.splits["test"].texts
    rows = [{"prompt": p, "completion": c} for p, c in zip(*texts, strict=True)]
    file = tmp_path / "test.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "answers.parquet"
    told = json.loads(cli("eval", "--run", "mine", "--task", file, "--out", out, "--json"))
    record = record_of(mine)
    expected = {k.removeprefix("test/"): v for k, v in record.scores.items() if "test/" in k}
    assert told["scores"] == pytest.approx(expected, abs=1e-5)
    ours = pd.read_parquet(mine / "predictions.parquet").query("split == 'test'")
    assert pd.read_parquet(out)["generated"].tolist() == ours["generated"].tolist()
    answer = cli("generate", "--run", "mine", "--prompt", rows[0]["prompt"])
    assert answer == ours["generated"].tolist()[0] + "\n"
    assert lora2_search.generate("mine", rows[0]["prompt"]) + "\n" == answer
    assert lora2_search.evaluate("mine", file).scored.scores == told["scores"]


def test_eval_answers_prompts_that_leave_no_room_for_a_completion(
    mine: Path, tmp_path: Path
) -> None:
    file = tmp_path / "long.jsonl"
    file.write_text(json.dumps({"prompt": "good film " * 30, "completion": "fine"}) + "\n")
    told = json.loads(cli("eval", "--run", "mine", "--task", file, "--json"))
    assert told["scores"].keys() == {"exact_match"}
    tokens = ("--set", "language.max_new_tokens=0")
    words = cli("eval", "--run", "mine", "--task", file, *tokens, code=2)
    assert "data.max_length: no test example has a token to learn" in words


def test_a_packaged_tasks_run_with_a_template_is_scored_on_a_file_and_on_its_task(
    own_home: Path, tmp_path: Path
) -> None:
    data = write_stand_in(tmp_path / "both")
    changes = small_suite(data, write_model(tmp_path / "model"))
    base = load_suite("metamath", changes).base
    config = with_settings(base, {"method": "no-training", "training.device": "cpu"})
    assert config.data.template is not None
    record = run(config, own_home / "runs" / "mine")
    test = pd.read_parquet(data / "gsm8k/main/test-00000-of-00001.parquet")
    file = tmp_path / "test.jsonl"
    named = test.rename(columns={"question": "query", "answer": "response"})
    named.to_json(file, orient="records", lines=True)
    for task in (file, "metamath"):
        told = json.loads(cli("eval", "--run", "mine", "--task", task, "--json"))
        expected = {k.removeprefix("test/"): v for k, v in record.scores.items() if "test/" in k}
        assert told["scores"] == pytest.approx(expected, abs=1e-5)


def test_eval_reads_other_columns_and_refuses_other_settings(
    mine: Path, completions: Path, tmp_path: Path
) -> None:
    file = tmp_path / "other.csv"
    file.write_text("question,reply\ngood film,positive\n,negative\n")
    named = ("--set", "data.text=[question]", "--set", "data.label=reply")
    told = cli("eval", "--run", "mine", "--task", file, *named)
    assert "1 row lacks text and is left out" in told and "1 examples: exact_match" in told
    words = cli("eval", "--run", "mine", "--task", file, "--set", "training.lr=1", code=2)
    assert "eval takes settings of data and language" in words
    words = cli("eval", "--run", "mine", "--task", "asdif", code=2)
    assert 'did you mean "asdiv"' in words


@pytest.mark.parametrize(
    ("more", "prompt"),
    [
        ({"data__messages": "talk"}, "user says good film [END] assistant says"),
        (
            {"data__messages": "talk", "language__system": "it is"},
            "system says it is [END] user says good film [END] assistant says",
        ),
        (
            {"data__template": "Review : {{ text }}\nSentiment :"},
            "Review : good film Sentiment :",
        ),
    ],
)
def test_a_new_prompt_becomes_what_the_runs_own_prompts_became(
    more: dict[str, Any],
    prompt: str,
    tiny_llama: Path,
    own_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk = [{"role": "user", "content": "dull"}, {"role": "assistant", "content": "negative"}]
    path = tmp_path / "rows.jsonl"
    path.write_text((json.dumps({"talk": talk, "text": "dull", "completion": "a"}) + "\n") * 12)
    config = settings(tiny_llama, path, method="no-training", **more)
    run(config, own_home / "runs" / "mine")
    given = asked(monkeypatch)
    cli("generate", "--run", "mine", "--prompt", "good film", "--max-new-tokens", "2")
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    assert [tokenizer.decode(tokens) for tokens in given] == [prompt]


def test_a_classifier_neither_generates_nor_is_scored_here(
    tiny_bert: Path, reviews_csv: Path, own_home: Path
) -> None:
    from tests.cli.test_export import trained

    trained(own_home / "runs" / "mine", tiny_bert, reviews_csv)
    assert "use predict" in cli("generate", "--run", "mine", "--prompt", "a", code=2)
    assert "use predict" in cli("eval", "--run", "mine", "--task", reviews_csv, code=2)


def test_texts_come_from_between_blank_lines_or_from_a_column_of_jsonl(tmp_path: Path) -> None:
    texts = [f"text {number}\n\nits second part" for number in range(120)]
    rows = tmp_path / "wiki.jsonl"
    lines = [json.dumps({"id": number, "text": text}) for number, text in enumerate(texts)]
    rows.write_text("\n".join([json.dumps({"id": -1, "text": " "}), *lines]))
    assert read_texts(str(rows)) == texts[:100]
    plain = tmp_path / "plain.txt"
    plain.write_text("\n\n".join(texts))
    assert read_texts(str(plain))[:3] == ["text 0", "its second part", "text 1"]
    rows.write_text('{"txt": "a"}\n')
    with pytest.raises(ConfigError, match="language.forgetting.*no column 'text'"):
        read_texts(str(rows))


def test_forgetting_is_the_loss_on_plain_text_with_the_adapter_minus_without(
    tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    file = tmp_path / "plain.txt"
    texts = ["the film is a story and the cast is very good", "it is quite dull", "a warm story"]
    file.write_text("\n\n".join(texts))
    config = settings(tiny_llama, completions, language__forgetting=str(file), **BETTER)
    record = run(config, tmp_path / "run")
    base = load_base(config.model, None)
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)

    def loss(model: Any) -> float:
        total, count = 0.0, 0
        for text in texts:
            tokens = torch.tensor([tokenizer(text)["input_ids"]])
            with torch.no_grad():
                total += float(model(tokens, labels=tokens).loss) * (tokens.shape[1] - 1)
            count += tokens.shape[1] - 1
        return total / count

    trained = reload_model(base, config, tmp_path / "run" / "adapter").eval()
    expected = loss(trained) - loss(base.model.eval())
    assert record.forgetting == pytest.approx(expected, abs=1e-4) and abs(expected) > 0.01
    floor = {"method": "no-training", "language__forgetting": str(file)}
    assert run(settings(tiny_llama, completions, **floor), tmp_path / "floor").forgetting == 0
    other = run(settings(tiny_llama, completions), tmp_path / "other")
    assert other.forgetting is None


def test_tokens_by_second_and_the_share_of_padding_are_recorded(
    tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    config = settings(tiny_llama, completions)
    prepared = prepare(config)
    record = run(config, tmp_path)
    tokens = positions = 0
    for batches, _ in zip(prepared.trainer._steps(0), range(6), strict=False):
        for rows in batches:
            mask = prepared.trainer.kind.collate(prepared.encoded["train"], rows).inputs
            tokens += int(mask["attention_mask"].sum())
            positions += mask["attention_mask"].numel()
    assert record.padding_share == pytest.approx(1 - tokens / positions)
    assert record.tokens_per_second == pytest.approx(tokens / record.timings["train"])
    assert tokens < positions and math.isfinite(record.tokens_per_second or math.nan)
